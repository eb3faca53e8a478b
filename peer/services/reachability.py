"""Whether others can reach us: asked of peers, who dial our announced addresses and say; and the same done for them."""

import random
from collections.abc import Callable, Collection
from typing import Never

import trio

from peer.addresses import with_peer
from peer.errors import ProtocolError, TransportError
from peer.network.dial_back import may_dial_back
from peer.network.transport import Origin, Transport
from peer.peer_ids import short
from peer.services.refusals import tell_refused
from peer.services.service import TaskStatus
from peer.services.welcome import Welcome
from peer.telemetry.counters import Counters
from peer.telemetry.peer_events import AddressesUnreached, AddressReached
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.envelope import open_as
from peer.wire.messages import PeerCard
from peer.wire.sync import DIAL_BACK_PROTOCOL, DialBackRequest, DialBackResponse, decode, encode

DIAL_S: Seconds = 4.0
"""For all addresses of one asker together; what fails is answered only then, so that the time says nothing."""

ASK_S: Seconds = DIAL_S + 4.0

_PER_ASKER_S: Seconds = 20.0
_MAX_AT_ONCE = 2
_LOOK_S = 1.0
_ENOUGH = 3
"""Peers that were asked and could not reach us before we say so: one alone may sit behind a firewall itself."""

_AGAIN_S: Seconds = 600.0
_RETRY_S: Seconds = 60.0
_REMEMBERED = 1024


class DialBackDesk:
    """Dials askers back. One dial an asker in 20 s, two askers at a time, only where `may_dial_back` says so."""

    def __init__(self, transport: Transport, *, run: bytes, admitted: Callable[[], Collection[PeerId]]) -> None:
        self._transport = transport
        self._run = run
        self._admitted = admitted
        self._asked_at: dict[PeerId, Seconds] = {}
        self._busy = 0

    async def answer(self, peer: PeerId, data: bytes) -> bytes:
        """The handler of `DIAL_BACK_PROTOCOL`."""
        signed = open_as(decode(data, DialBackRequest).card, PeerCard, run=self._run)
        if signed.peer != peer:
            raise ProtocolError("identity", f"{short(peer)} asks to dial the addresses of {short(signed.peer)}")
        await trio.lowlevel.checkpoint()
        remote = self._transport.remote_host(peer)
        allowed = [each for each in signed.message.addresses if may_dial_back(each, remote_host=remote)]
        if not allowed or not self._has_time_for(peer):
            return encode(DialBackResponse((), ()))
        self._busy += 1
        try:
            reached = await self._dial_all(peer, allowed)
        finally:
            self._busy -= 1
        return encode(DialBackResponse(tuple(allowed), reached))

    def _has_time_for(self, peer: PeerId) -> bool:
        now = trio.current_time()
        self._asked_at = {other: at for other, at in self._asked_at.items() if now - at < _PER_ASKER_S}
        if peer not in self._admitted() or peer in self._asked_at or self._busy >= _MAX_AT_ONCE:
            return False
        if len(self._asked_at) >= _REMEMBERED:
            return False
        self._asked_at[peer] = now
        return True

    async def _dial_all(self, peer: PeerId, addresses: Collection[str]) -> tuple[str, ...]:
        """Return where `peer` proved to be. Takes DIAL_S unless it was found everywhere."""
        reached: list[str] = []

        async def dial(address: str) -> None:
            try:
                await self._transport.connect(with_peer(address, peer), origin=Origin.ASKED)
            except TransportError:
                return
            reached.append(address)

        with trio.move_on_after(DIAL_S):
            async with trio.open_nursery() as nursery:
                for address in addresses:
                    nursery.start_soon(dial, address)
            if len(reached) < len(addresses):
                await trio.sleep_forever()
        return tuple(address for address in addresses if address in reached)


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
        self._asked.clear()
        self._misses.clear()
        self.reached = None

    def _pause_s(self) -> Seconds:
        return _AGAIN_S if self.reached else _RETRY_S

    async def _ask(self, peer: PeerId) -> None:
        card = self._welcome.card_for(remote_host=self._transport.remote_host(peer))
        if not card.message.addresses:
            return
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
