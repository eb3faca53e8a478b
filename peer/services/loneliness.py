"""A warning for what no single line of the log shows: a peer that is connected to others and seals without them."""

from collections.abc import Callable
from typing import Never

import trio

from peer.rounds.entry import Entry
from peer.services.exchanges import ExchangeRecord
from peer.telemetry.growing_pause import GrowingPause
from peer.telemetry.process_events import SealingAlone
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds

_LOOK_S: Seconds = 1.0
PATIENCE_S: Seconds = 15.0
"""Two that meet are on one chain after a few rounds; a machine that starts many peers at once takes longer."""

_REPEAT_S: Seconds = 60.0


class LonelinessWatch:
    """Warns when this peer seals alone in spite of company.

    connected: whom this peer is connected to and has admitted. exchanges: how comparing with them goes.
    """

    def __init__(
        self,
        *,
        me: PeerId,
        tip: Callable[[], Entry],
        connected: Callable[[], frozenset[PeerId]],
        exchanges: ExchangeRecord,
        sink: EventSink,
    ) -> None:
        self._me = me
        self._tip = tip
        self._connected = connected
        self._exchanges = exchanges
        self._sink = sink

    async def serve(self) -> Never:
        since: Seconds | None = None
        pause = GrowingPause(first_s=_REPEAT_S)
        while True:
            await trio.sleep(_LOOK_S)
            now = trio.current_time()
            if not self._is_alone():
                since = None
                pause.forget()
                continue
            since = now if since is None else since
            if now - since >= PATIENCE_S and pause.is_over(now):
                pause.begin(now)
                self._tell(now - since)

    def _is_alone(self) -> bool:
        tip = self._tip()
        return bool(self._connected()) and not tip.stop and tip.members == {self._me}

    def _tell(self, since_s: Seconds) -> None:
        exchanges = self._exchanges
        self._sink.emit(
            SealingAlone(
                connected=len(self._connected()),
                since_s=since_s,
                failures=exchanges.failures,
                cause=exchanges.cause if exchanges.failures else "",
            )
        )
