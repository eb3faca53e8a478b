"""The relay: one hop, for friends, bounded."""

import pytest
import trio
from trio.testing import MockClock

import peer.services.relay
from peer.errors import ProtocolError
from peer.services.relay import KEEP_S, MAX_RELAYS, Relay
from peer.types import Digest, PeerId
from peer.wire.hashing import digest_of
from peer.wire.sync import RelayRequest, RelayResponse, decode, encode

ALICE, MALLORY = PeerId("alice"), PeerId("mallory")
DATA = b"work" * 100
BLOB = digest_of(DATA)


class Neighbourhood:
    """What our neighbours hold; counts how often they were asked."""

    def __init__(self, *, slow: bool = False) -> None:
        self.slow = slow
        self.asked: list[tuple[Digest, int, PeerId]] = []
        self.relay = Relay(has=lambda _blob: False, fetch=self.fetch, helps=lambda peer: peer != MALLORY)

    async def fetch(self, blob: Digest, size: int, asker: PeerId) -> bytes | None:
        self.asked.append((blob, size, asker))
        await trio.sleep(5.0 if self.slow else 0.0)
        return DATA if blob == BLOB else None

    async def ask(self, blob: Digest, peer: PeerId = ALICE) -> bool:
        answer = await self.relay.answer(peer, encode(RelayRequest(blob, len(DATA))))
        return decode(answer, RelayResponse).held


async def test_blob_is_fetched_once_and_served_for_a_while(autojump_clock: MockClock) -> None:
    town = Neighbourhood()
    assert await town.ask(BLOB)
    assert await town.ask(BLOB, PeerId("bob"))
    assert town.asked == [(BLOB, len(DATA), ALICE)]
    assert town.relay.find(BLOB) == DATA
    await trio.sleep(KEEP_S + 1)
    await town.ask(digest_of(b"other"))
    assert town.relay.find(BLOB) is None


async def test_blob_goes_when_its_time_is_over_though_nobody_asks_again(autojump_clock: MockClock) -> None:
    town = Neighbourhood()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(town.relay.keep_forgetting)
        await town.ask(BLOB)
        await trio.sleep(2 * KEEP_S + 1)
        assert town.relay.find(BLOB) is None
        nursery.cancel_scope.cancel()


async def test_blob_that_nobody_has_is_not_held(autojump_clock: MockClock) -> None:
    assert not await Neighbourhood().ask(digest_of(b"nothing"))


async def test_blob_that_was_sought_in_vain_is_sought_again_when_asked_for_again(autojump_clock: MockClock) -> None:
    town = Neighbourhood()
    for _ in range(2):
        await town.ask(digest_of(b"nothing"))
    assert len(town.asked) == 2


async def test_as_many_blobs_are_kept_as_there_is_room_for_and_the_newest_at_least(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer.services.relay, "MAX_KEPT_BYTES", 1000)
    contents = [bytes([number]) * size for number, size in enumerate((400, 600, 1, 5000))]
    blobs = [digest_of(content) for content in contents]

    async def fetch(blob: Digest, _size: int, _asker: PeerId) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return contents[blobs.index(blob)]

    relay, kept = Relay(has=lambda _blob: False, fetch=fetch, helps=lambda _peer: True), []
    for blob in blobs:
        await relay.answer(ALICE, encode(RelayRequest(blob, 1)))
        kept.append([at for at, each in enumerate(blobs) if relay.find(each) is not None])
    assert kept == [[0], [0, 1], [1, 2], [3]]


async def test_own_blob_needs_no_fetch(autojump_clock: MockClock) -> None:
    town = Neighbourhood()
    relay = Relay(has=lambda blob: blob == BLOB, fetch=town.fetch, helps=lambda _peer: True)
    answer = await relay.answer(ALICE, encode(RelayRequest(BLOB, len(DATA))))
    assert decode(answer, RelayResponse).held
    assert town.asked == []


async def test_stranger_gets_no_relay() -> None:
    with pytest.raises(ProtocolError, match="greeted"):
        await Neighbourhood().ask(BLOB, MALLORY)


async def test_request_above_the_bound_is_refused_before_anything_is_fetched() -> None:
    town = Neighbourhood()
    with pytest.raises(ProtocolError):
        await town.relay.answer(ALICE, encode(RelayRequest(BLOB, 2**40)))
    assert town.asked == []


async def test_relays_at_one_time_are_bounded_and_one_for_each_asker(autojump_clock: MockClock) -> None:
    town = Neighbourhood(slow=True)
    blobs = [digest_of(bytes([number])) for number in range(6)]
    async with trio.open_nursery() as nursery:
        for number, blob in enumerate(blobs):
            nursery.start_soon(town.ask, blob, PeerId(f"peer-{number}"))
            nursery.start_soon(town.ask, digest_of(blob), PeerId(f"peer-{number}"))
    assert len(town.asked) == MAX_RELAYS
