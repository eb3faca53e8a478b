"""A line when the peer is stuck that says on what."""

from typing import Never

import trio

from peer.rounds.effects import Effect, OpenRound, SealingPaused, SealingResumed
from peer.rounds.machine import RoundMachine
from peer.telemetry.growing_pause import GrowingPause
from peer.telemetry.names import NameBook
from peer.telemetry.process_events import Waiting
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds

_LOOK_S = 1.0


class StuckWatch:
    """An observer that tells what a round waits for once its training time is over by `every_s`, then ever more rarely:
    a minority of a strict swarm may wait for days."""

    def __init__(
        self,
        machine: RoundMachine,
        *,
        me: PeerId,
        train_s: Seconds,
        every_s: Seconds,
        sink: EventSink,
        names: NameBook,
    ) -> None:
        self._machine = machine
        self._me = me
        self._train_s = train_s
        self._sink = sink
        self._names = names
        self._opened_at: Seconds | None = None
        self._pause = GrowingPause(first_s=every_s)
        self._is_minority = False

    def observe(self, effect: Effect) -> None:
        if isinstance(effect, OpenRound):
            self._opened_at = trio.current_time() + self._train_s
            self._pause.forget()
            self._pause.begin(self._opened_at)
        elif isinstance(effect, SealingPaused):
            self._is_minority = True
        elif isinstance(effect, SealingResumed):
            self._is_minority = False

    async def serve(self) -> Never:
        while True:
            await trio.sleep(_LOOK_S)
            now = trio.current_time()
            if self._opened_at is not None and not self._machine.finished and self._pause.is_over(now):
                self._pause.begin(now)
                round_number = self._machine.tip.round + 1
                self._sink.emit(Waiting(what=self.waiting_for(), since_s=now - self._opened_at, round=round_number))

    def open_s(self) -> Seconds | None:
        """Return for how long the round in progress has been open; None before the first one."""
        return None if self._opened_at is None else trio.current_time() - self._opened_at + self._train_s

    def waiting_for(self) -> str:
        """Return what the round in progress needs next, in a user's words."""
        if self._is_minority:
            return "a majority of the roster to be in reach (round.partition: strict)"
        missing = self._machine.missing_headers()
        if self._me in missing:
            return "its own training"
        if missing:
            return f"the deltas of {', '.join(sorted(self._names.name_of(peer) for peer in missing))}"
        sealer = self._machine.next_sealer()
        return "its own seal" if sealer == self._me else f"the seal of {self._names.name_of(sealer)}"
