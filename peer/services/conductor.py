"""The loop around the round machine: carries its effects out, and brings it messages and the time."""

import math
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Never, Protocol

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.flood import Rate, TokenBucket
from peer.network.transport import GossipMessage, Transport
from peer.rounds.effects import (
    Effect,
    FetchPayload,
    FetchSnapshot,
    OpenRound,
    Publish,
    Refused,
    SyncWith,
)
from peer.rounds.machine import LocalWork, Mail, RoundMachine
from peer.services.exchanges import Exchanges
from peer.services.pulls import Pulls
from peer.services.service import TaskStatus
from peer.telemetry.counters import Counters
from peer.types import Digest, PeerId, Seconds
from peer.wire.messages import Announcement, decode_announcement
from peer.wire.sync import HEADER_PROTOCOL, SYNC_PROTOCOL, SyncRequest, decode, encode

_OUTBOX = 256
_MIN_TICK_S = 0.005
_MAX_GREETED = 16
"""Exchanges begun at once with peers just met; the machine asks for more where it needs them."""

QUESTIONS = Rate(per_s=5.0, burst=20.0)
"""Exchanges that the machine asks for, beside those that come in turn. They only save time: where every answer is late
because CPU time is short, more questions make all of them later."""

_MAX_MAIL = 256
"""Messages of gossip taken in at once: one look at what they change costs as much as one look after each."""


class Observer(Protocol):
    """Whoever wants to know what happened: the reporter, the trainer, the archive. Must not block."""

    def observe(self, effect: Effect) -> None: ...


class Conductor:
    """Owns the machine. Everything runs in one trio thread, so each call sees and leaves it whole.

    anti_entropy_s: pause between two exchanges. request_s: deadline of one request.
    """

    def __init__(
        self,
        machine: RoundMachine,
        *,
        transport: Transport,
        open_round: Callable[[OpenRound], None],
        counters: Counters,
        rng: random.Random,
        anti_entropy_s: Seconds,
        request_s: Seconds,
    ) -> None:
        self.machine = machine
        self._transport = transport
        self._observers: list[Observer] = []
        self._open_round = open_round
        self._counters = counters
        self._rng = rng
        self._anti_entropy_s = anti_entropy_s
        self._request_s = request_s
        self.exchanges = Exchanges(transport, counters=counters, least_s=request_s, refuse=self._refuse)
        self.pulls = Pulls(transport, counters=counters, rng=rng, request_s=request_s, refuse=self._refuse)
        self._questions = TokenBucket(QUESTIONS, now=trio.current_time())
        self._reachable: frozenset[PeerId] = frozenset()
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._ended = False
        self._outbox, self._to_publish = trio.open_memory_channel[bytes](_OUTBOX)
        """Full when the network stalls; then the newest is dropped and counted, and anti-entropy makes up for it."""

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Run the protocol until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._transport.handle(SYNC_PROTOCOL, self._answer_sync)
            self._transport.handle(HEADER_PROTOCOL, self._take_header)
            nursery.start_soon(self._publish)
            nursery.start_soon(self._receive_gossip)
            nursery.start_soon(self._exchange_forever)
            self._carry_out(self.machine.start(trio.current_time()))
            task_status.started()
            try:
                await self._tick_forever()
            finally:
                self._ended = True
        raise AssertionError("the loops above never end")

    def add_observers(self, *observers: Observer) -> None:
        """Tell these of every effect from now on, after those that were added before."""
        self._observers += observers

    # What other services tell the machine

    def reachable(self, peers: frozenset[PeerId]) -> None:
        """Say which peers are connected and were admitted."""
        if peers != self._reachable:
            new, self._reachable = peers - self._reachable, peers
            self.exchanges.keep(peers)
            self.pulls.reachable(peers)
            self._carry_out(self.machine.reachable(peers, trio.current_time()))
            asked = self._rng.sample(sorted(new), min(len(new), _MAX_GREETED))
            for peer in asked:  # whoever joins is behind: it must not wait for its turn of anti-entropy
                self._start(partial(self._exchange, peer))

    def allow(self, peers: frozenset[PeerId] | None) -> None:
        """Say whose work may be taken; None: everybody's."""
        self._carry_out(self.machine.allow(peers, trio.current_time()))

    def deny(self, peers: frozenset[PeerId]) -> None:
        """Say against whom there is proof."""
        self._carry_out(self.machine.deny(peers, trio.current_time()))

    @property
    def tip_digest(self) -> Digest:
        return self.machine.tip.digest

    def announce(self, work: LocalWork) -> None:
        """Raises: ValueError as `RoundMachine.announce`."""
        self._carry_out(self.machine.announce(work, trio.current_time()))

    # Loops

    async def _tick_forever(self) -> Never:
        while True:
            self._changed = trio.Event()
            wake = self.machine.next_wake()
            with trio.move_on_at(math.inf if wake is None else wake):
                await self._changed.wait()
                continue
            self._carry_out(self.machine.tick(trio.current_time()))
            await trio.sleep(_MIN_TICK_S)  # a deadline that stays in the past must not spin the loop

    async def _publish(self) -> None:
        async for data in self._to_publish:
            try:
                with trio.fail_after(self._request_s):
                    await self._transport.publish(data)
            except (TransportError, trio.TooSlowError):
                self._counters.add("gossip_unsent")

    async def _receive_gossip(self) -> None:
        gossip = self._transport.gossip
        async for first in gossip:
            messages = [first]
            while len(messages) < _MAX_MAIL:
                try:
                    messages.append(gossip.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
            mail = [piece for message in messages if (piece := self._open(message)) is not None]
            if mail:
                self._carry_out(self.machine.receive_all(mail, trio.current_time()))

    def _open(self, message: GossipMessage) -> Mail | None:
        try:
            announcement = decode_announcement(message.data)
        except ProtocolError as error:
            self._refuse(message.forwarder, error)
            return None
        return announcement.envelope, announcement.payload, message.forwarder

    def _take(self, announcement: Announcement, source: PeerId) -> None:
        now = trio.current_time()
        self._carry_out(
            self.machine.receive(announcement.envelope, payload=announcement.payload, source=source, now=now)
        )

    async def _exchange_forever(self) -> Never:
        while True:
            await trio.sleep(self._anti_entropy_s * self._rng.uniform(0.75, 1.25))
            if self._reachable:
                self._start(partial(self._exchange, self._rng.choice(sorted(self._reachable))))

    async def _exchange(self, peer: PeerId) -> None:
        """One round of anti-entropy with `peer`."""
        if self.exchanges.is_under_way(peer):
            return
        asked = self.machine.sync_request()
        answer = await self.exchanges.ask(peer, asked)
        if answer is not None:
            self._carry_out(self.machine.receive_sync(answer, source=peer, now=trio.current_time(), asked=asked))

    async def _answer_sync(self, peer: PeerId, data: bytes) -> bytes:
        return encode(self.machine.answer_sync(decode(data, SyncRequest), source=peer))

    async def _take_header(self, peer: PeerId, data: bytes) -> bytes:
        """Take what a member of the own group hands over; in a large swarm headers are not gossiped."""
        self._take(decode_announcement(data), peer)
        return b""

    # Effects

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish(data=data, to=None):
                    self._put_out(data)
                case Publish(data=data, to=peers) if peers is not None:
                    for peer in peers:
                        self._start(partial(self._hand_over, peer, data))
                case FetchPayload():
                    self._start(partial(self._pull_payload, effect))
                case FetchSnapshot():
                    self._start(partial(self._pull_snapshot, effect))
                case SyncWith():
                    if self._questions.take(1.0, trio.current_time()):
                        self._start(partial(self._exchange, effect.peer))
                case OpenRound():
                    self._open_round(effect)
                case _:
                    pass
            for observer in self._observers:
                observer.observe(effect)
        self._changed.set()  # the machine may want to be woken at another time, even if it did nothing

    def _refuse(self, peer: PeerId, error: ProtocolError) -> None:
        """Have what never reached the machine counted and logged like what it refuses."""
        self._carry_out([Refused(reason=error.reason, peer=peer, detail=error.detail)])

    def _put_out(self, data: bytes) -> None:
        try:
            self._outbox.send_nowait(data)
        except trio.WouldBlock:
            self._counters.add("gossip_unsent")

    async def _hand_over(self, peer: PeerId, data: bytes) -> None:
        """Bring a header to one member of the group; anti-entropy makes up for what fails."""
        try:
            with trio.fail_after(self._request_s):
                await self._transport.request(peer, HEADER_PROTOCOL, data)
        except (TransportError, trio.TooSlowError):
            self._counters.add("headers_unsent")

    def _start(self, task: Callable[[], Awaitable[None]]) -> None:
        assert self._nursery is not None
        if not self._ended:  # the transport outlives the protocol while state is saved, and goes on serving
            self._nursery.start_soon(task)

    async def _pull_payload(self, effect: FetchPayload) -> None:
        data = await self.pulls.pull(effect.payload, effect.payload_bytes, effect.holders)
        now = trio.current_time()
        if data is None:
            self._carry_out(self.machine.payload_failed(effect.payload, now))
        else:
            # Pulled by its hash: to compute that anew would take as long as the pull's own work in this thread.
            self._carry_out(self.machine.receive_payload(effect.payload, data, now, digest=effect.payload))

    async def _pull_snapshot(self, effect: FetchSnapshot) -> None:
        blob = Digest(effect.offer.blob)
        data = await self.pulls.pull(blob, effect.offer.blob_bytes, (effect.holder,))
        now = trio.current_time()
        if data is None:
            self._carry_out(self.machine.payload_failed(blob, now))
        else:
            self._carry_out(self.machine.receive_snapshot(blob, data, source=effect.holder, now=now))
