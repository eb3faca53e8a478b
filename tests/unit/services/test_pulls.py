"""Pulling what no neighbour holds: a neighbour is asked to fetch it, and it is taken from there."""

import random
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Content
from peer.services.pulls import _MAX_RELAYS_ASKED, Pulls
from peer.telemetry.counters import Counters
from peer.types import PeerId
from peer.wire.hashing import digest_of
from peer.wire.sync import (
    RELAY_PROTOCOL,
    BlobRequest,
    RelayRequest,
    RelayResponse,
    decode,
    encode,
)
from tests.unit.services.scripted_transport import ScriptedTransport

MIDDLE, HIDDEN = PeerId("middle"), PeerId("hidden")
DATA = bytes(range(256)) * 200
BLOB = digest_of(DATA)


class Middle:
    """A neighbour that has the blob only once it was asked to relay it."""

    def __init__(self, *, willing: bool) -> None:
        self.willing = willing
        self.has_it = False
        self.relayed: list[RelayRequest] = []

    async def answer(self, protocol: str, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        if protocol == RELAY_PROTOCOL:
            self.relayed.append(decode(data, RelayRequest))
            self.has_it = self.willing
            return encode(RelayResponse(held=self.willing))
        raise TransportError("refused")

    async def hold(self, data: bytes, take: Callable[[Content], object]) -> None:
        await trio.lowlevel.checkpoint()
        asked = decode(data, BlobRequest)
        take(DATA[asked.offset : asked.offset + asked.length] if self.has_it else b"")


async def pull(middle: Middle, *, holders: tuple[PeerId, ...]) -> bytes | None:
    transport = ScriptedTransport("me")
    transport.joins(MIDDLE)
    transport.answers[MIDDLE] = middle.answer
    transport.holders[MIDDLE] = middle.hold
    pulls = Pulls(
        transport, counters=Counters(), rng=random.Random(1), request_s=5.0, refuse=lambda _peer, _error: None
    )
    pulls.reachable(frozenset({MIDDLE}))
    return await pulls.pull(BLOB, len(DATA), holders)


async def test_payload_of_a_peer_out_of_reach_comes_through_a_neighbour(autojump_clock: MockClock) -> None:
    middle = Middle(willing=True)
    assert await pull(middle, holders=(HIDDEN,)) == DATA
    assert middle.relayed == [RelayRequest(BLOB, len(DATA))]


async def test_few_neighbours_are_asked_to_relay_and_none_for_what_is_too_large(autojump_clock: MockClock) -> None:
    for size, asked in ((len(DATA), _MAX_RELAYS_ASKED), (64 << 20, _MAX_RELAYS_ASKED), ((64 << 20) + 1, 0)):
        transport, middle = ScriptedTransport("me"), Middle(willing=False)
        neighbours = [PeerId(f"neighbour {number}") for number in range(20)]
        for neighbour in neighbours:
            transport.joins(neighbour)
            transport.answers[neighbour], transport.holders[neighbour] = middle.answer, middle.hold
        pulls = Pulls(
            transport, counters=Counters(), rng=random.Random(1), request_s=5.0, refuse=lambda _peer, _error: None
        )
        pulls.reachable(frozenset(neighbours))
        assert await pulls.pull(BLOB, size, (HIDDEN,)) is None
        assert len(middle.relayed) == asked


async def test_neighbour_that_cannot_help_leaves_the_pull_failed(autojump_clock: MockClock) -> None:
    assert await pull(Middle(willing=False), holders=(HIDDEN,)) is None


async def test_no_relay_is_asked_for_what_its_reachable_holder_lacks(autojump_clock: MockClock) -> None:
    middle = Middle(willing=True)
    assert await pull(middle, holders=(MIDDLE,)) is None
    assert middle.relayed == []


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
async def test_a_size_that_an_asker_made_up_blames_no_holder(size: int) -> None:
    """The blob of another size has another hash: the log would name whoever serves it as a liar."""
    blamed: list[ProtocolError] = []
    holder, transport = Middle(willing=True), ScriptedTransport("me")
    holder.has_it = True
    transport.joins(MIDDLE)
    transport.holders[MIDDLE] = holder.hold
    pulls = Pulls(
        transport,
        counters=Counters(),
        rng=random.Random(1),
        request_s=5.0,
        refuse=lambda _peer, error: blamed.append(error),
    )
    pulls.reachable(frozenset({MIDDLE}))
    assert await pulls.fetch_for(BLOB, size, HIDDEN) is None
    assert not blamed
    assert await pulls.fetch_for(BLOB, len(DATA), HIDDEN) == DATA
