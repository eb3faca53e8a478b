"""Whether others can reach us: asked of peers, who dial our announced addresses and say."""

import random
from collections.abc import Callable, Collection
from typing import Never

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Transport
from peer.services.dial_back import DIAL_S
from peer.services.refusals import tell_refused
from peer.services.service import TaskStatus
from peer.services.welcome import Welcome
from peer.telemetry.counters import Counters
from peer.telemetry.peer_events import AddressesUnreached, AddressReached
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.messages import PeerCard
from peer.wire.sync import DIAL_BACK_PROTOCOL, DialBackRequest, DialBackResponse, decode, encode

ASK_S: Seconds = DIAL_S + 4.0

_LOOK_S = 1.0
_ENOUGH = 3
"""Peers that were asked and could not reach us before we say so: one alone may sit behind a firewall itself."""

_AGAIN_S: Seconds = 600.0
_RETRY_S: Seconds = 60.0


class Reachability:
    """Finds out whether our announced addresses lead to us, and says so in the log and in `murmur status`.

    reached: where others have found us, None while nobody has told.
    """

    def __init__(
        self,
        transport: Transport,
        welcome: Welcome,
        *,
        greeted: Callable[[], Collection[PeerId]],
        sink: EventSink,
        counters: Counters,
        rng: random.Random,
    ) -> None:
        self._transport = transport
        self._welcome = welcome
        self._greeted = greeted
        self._sink = sink
        self._counters = counters
        self._rng = rng
        self._asked: dict[PeerId, Seconds] = {}
        self._moves = 0
        self._misses: set[PeerId] = set()
        self.reached: tuple[str, ...] | None = None

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Ask one peer after the other until one has reached us, or enough could not; then anew every ten minutes."""
        task_status.started()
        while True:
            await trio.sleep(_LOOK_S)
            now = trio.current_time()
            self._asked = {peer: at for peer, at in self._asked.items() if now - at < self._pause_s()}
            candidates = sorted(set(self._greeted()) - set(self._asked))
            if candidates and not (self.reached and self._asked):
                peer = self._rng.choice(candidates)
                self._asked[peer] = now
                await self._ask(peer)

    def moved(self) -> None:
        """Take note that the announced addresses have changed: what was found out is of others."""
        self._moves += 1
        self._asked.clear()
        self._misses.clear()
        self.reached = None

    def _pause_s(self) -> Seconds:
        return _AGAIN_S if self.reached else _RETRY_S

    async def _ask(self, peer: PeerId) -> None:
        card = self._welcome.card_for(remote_host=self._transport.remote_host(peer))
        if not card.message.addresses:
            return
        moves = self._moves
        try:
            with trio.fail_after(ASK_S):
                request = encode(DialBackRequest(card.data))
                answer = decode(await self._transport.request(peer, DIAL_BACK_PROTOCOL, request), DialBackResponse)
        except (TransportError, trio.TooSlowError):
            self._counters.add("dial_backs_failed")
            return
        except ProtocolError as error:
            tell_refused(error, peer, counters=self._counters, sink=self._sink)
            return
        if moves == self._moves:  # else it is about addresses of before
            self._judge(peer, card.message, answer)

    def _judge(self, peer: PeerId, card: PeerCard, answer: DialBackResponse) -> None:
        """Believe only what we asked about. One peer's word that it reached us is enough: a lie costs nothing."""
        reached = tuple(address for address in card.addresses if address in answer.reached)
        if reached:
            if not self.reached:
                self._sink.emit(AddressReached(addresses=reached, remote=peer))
            self.reached = reached
            self._misses.clear()
        elif answer.tried:
            self._misses.add(peer)
            everybody = self._misses >= set(self._greeted())
            if self.reached != () and (len(self._misses) >= _ENOUGH or everybody):
                self._sink.emit(AddressesUnreached(addresses=card.addresses, asked=len(self._misses)))
                self.reached = ()
                self._misses.clear()
