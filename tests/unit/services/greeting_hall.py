"""A greeter at work, with the peers that come to it and what it tells of them."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from peer.admission.policy import AdmissionPolicy
from peer.network.identity import Identity
from peer.services.admission import AdmissionDesk
from peer.services.allow_lists import AllowListDesk
from peer.services.greeting import Greeter
from peer.services.sessions import SessionDesk
from peer.services.welcome import Welcome
from peer.telemetry.counters import Counters
from peer.telemetry.names import NameBook
from peer.telemetry.peer_events import PeerJoined, PeerLeft, PeerRefused, PeerStopped
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from peer.wire.envelope import seal
from peer.wire.messages import PeerCard
from peer.wire.sync import CARD_PROTOCOL
from tests.unit.services.scripted_transport import Answer, ScriptedTransport

RUN = b"r" * 16
ME, ALICE, BOB = (Identity.for_tests(number) for number in (1, 2, 3))


def card(
    identity: Identity,
    *,
    run: bytes = RUN,
    config: bytes = b"c" * 32,
    schema: bytes = b"s" * 32,
    boot: int = 1,
    addresses: tuple[str, ...] = (),
) -> bytes:
    name = {ME.peer_id: "me", ALICE.peer_id: "alice"}.get(identity.peer_id, "bob")
    shown = PeerCard(boot=boot, name=name, addresses=addresses, config=config, schema=schema)
    return seal(shown, identity, run=run).data


def shows(data: bytes) -> Answer:
    async def answer(protocol: str, request: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        assert protocol == CARD_PROTOCOL
        assert request == card(ME)
        return data

    return answer


class OpenDesk(AdmissionDesk):
    """Lets everybody in."""

    async def examine(self, peer: PeerId) -> None:
        await trio.sleep(0.01)


class Hall:
    """A running greeter and what it told."""

    def __init__(self) -> None:
        self.transport = ScriptedTransport(ME.peer_id)
        self.sink = RecordingSink()
        self.counters = Counters()
        self.names = NameBook()
        self.told: list[frozenset[PeerId]] = []
        self.learned: list[tuple[PeerId, bytes]] = []
        own = seal(PeerCard(boot=1, name="me", addresses=(), config=b"c" * 32, schema=b"s" * 32), ME, run=RUN)
        self.welcome = Welcome(run=RUN, card=own)
        self.greeter = Greeter(
            self.transport,
            self.welcome,
            sink=self.sink,
            names=self.names,
            counters=self.counters,
            learn=lambda peer, data: self.learned.append((peer, data)),
            desk=self._desk(),
            sessions=SessionDesk(self.transport, welcome=self.welcome, signer=ME, sink=self.sink, request_s=5.0),
            request_s=5.0,
        )
        self.greeter.add_observers(self)

    def _desk(self) -> OpenDesk:
        policy = AdmissionPolicy()
        lists = AllowListDesk(self.transport, policy=policy, sink=self.sink, rng=random.Random(1))
        return OpenDesk(self.transport, run=RUN, policy=policy, lists=lists)

    def reachable(self, peers: frozenset[PeerId]) -> None:
        self.told.append(peers)

    def arrives(self, who: Identity, answer: Answer, *, tell: bool = True) -> None:
        self.transport.answers[who.peer_id] = answer
        self.transport.joins(who.peer_id, tell=tell, session=who.session)

    def refused(self) -> list[tuple[PeerId, str]]:
        return [(event.remote, event.reason) for event in self.sink.events if isinstance(event, PeerRefused)]

    def joined(self) -> list[tuple[PeerId, int, int]]:
        return [(event.remote, event.boot, event.peers) for event in self.sink.events if isinstance(event, PeerJoined)]

    def stopped(self) -> list[tuple[PeerId, int]]:
        return [(event.remote, event.peers) for event in self.sink.events if isinstance(event, PeerStopped)]

    def left(self) -> list[tuple[PeerId, str]]:
        return [(event.remote, event.cause) for event in self.sink.events if isinstance(event, PeerLeft)]


@asynccontextmanager
async def open_hall() -> AsyncIterator[Hall]:
    hall = Hall()
    async with trio.open_nursery() as nursery:
        await nursery.start(hall.greeter.serve)
        yield hall
        nursery.cancel_scope.cancel()
