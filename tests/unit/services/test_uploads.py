"""Serving blobs: what is served, to how many at a time, and what happens to those above that."""

from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from peer.errors import ProtocolError, TransportError
from peer.services.uploads import (
    MAX_SLOW,
    MAX_UPLOADS,
    MAX_UPLOADS_TO_ONE,
    MAX_WAITING,
    PATIENCE_S,
    SLOW_FOR_S,
    SLOW_S,
    Uploads,
)
from peer.types import Digest, PeerId
from peer.wire.hashing import digest_of
from peer.wire.sync import BlobRequest, encode

BLOB = bytes(range(256)) * 40
NAME = digest_of(BLOB)
ME = PeerId("me")


def asked(offset: int = 0, length: int = len(BLOB), *, blob: Digest = NAME) -> bytes:
    return encode(BlobRequest(blob, offset, length))


async def content_of(uploads: Uploads, data: bytes, peer: PeerId = ME) -> bytes:
    async with uploads.serve(peer, data) as content:
        return bytes(content)


async def test_a_range_of_what_it_holds_is_served_and_no_more() -> None:
    uploads = Uploads({NAME: BLOB}.get)
    assert await content_of(uploads, asked(10, 20)) == BLOB[10:30]
    assert await content_of(uploads, asked(len(BLOB) - 5, 100)) == BLOB[-5:]
    assert await content_of(uploads, asked(len(BLOB) + 5, 100)) == b""
    assert await content_of(uploads, asked(blob=digest_of(b"another"))) == b""


async def test_the_blob_is_not_copied() -> None:
    async with Uploads({NAME: BLOB}.get).serve(ME, asked(10, 20)) as content:
        assert isinstance(content, memoryview)
        assert content.obj is BLOB


@pytest.mark.parametrize(("data", "reason"), [(b"\x00\x01", "malformed"), (bytes(1000), "oversize")])
async def test_nonsense_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        await content_of(Uploads(lambda _: None), data)


class Pullers:
    """Peers that keep their uploads open until `finish` is called. served: in the order of their turns."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.uploads = Uploads({NAME: BLOB}.get)
        self.served: list[PeerId] = []
        self.turned_away: list[PeerId] = []
        self._nursery = nursery
        self._finished: dict[PeerId, trio.Event] = {}

    async def ask(self, *peers: str) -> None:
        for peer in peers:
            self._nursery.start_soon(self._pull, PeerId(peer))
        await wait_all_tasks_blocked()

    async def finish(self, peer: str) -> None:
        self._finished.pop(PeerId(peer)).set()
        await wait_all_tasks_blocked()

    async def _pull(self, peer: PeerId) -> None:
        async with self.uploads.serve(peer, asked()) as content:
            (self.served if content else self.turned_away).append(peer)
            if content:
                await self._finished.setdefault(peer, trio.Event()).wait()


async def test_uploads_at_a_time_are_bounded_and_the_next_has_its_turn_when_one_ends(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pullers = Pullers(nursery)
    names = [f"peer-{n}" for n in range(MAX_UPLOADS)]
    await pullers.ask(*names)
    await pullers.ask("late")
    assert sorted(pullers.served) == sorted(names)
    await pullers.finish(names[3])
    assert pullers.served[-1] == "late"
    nursery.cancel_scope.cancel()


async def test_one_peer_does_not_take_the_turns_of_the_others(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    pullers = Pullers(nursery)
    await pullers.ask(*["greedy"] * (MAX_UPLOADS + 5))
    await pullers.ask("modest")
    assert pullers.served == ["greedy"] * MAX_UPLOADS_TO_ONE + ["modest"]
    nursery.cancel_scope.cancel()


async def test_who_waits_in_vain_is_told_no_and_holds_nothing(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    pullers = Pullers(nursery)
    names = [f"peer-{n}" for n in range(MAX_UPLOADS)]
    await pullers.ask(*names)
    await pullers.ask("late")
    await trio.sleep(PATIENCE_S + 0.1)
    assert pullers.turned_away == ["late"]
    await pullers.finish(names[0])
    await pullers.ask("later")
    assert pullers.served[-1] == "later"
    nursery.cancel_scope.cancel()


async def test_of_those_that_wait_only_so_many_are_kept(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    pullers = Pullers(nursery)
    await pullers.ask(*(f"peer-{n}" for n in range(MAX_UPLOADS + MAX_WAITING + 3)))
    assert trio.current_time() < PATIENCE_S
    assert len(pullers.turned_away) == 3
    nursery.cancel_scope.cancel()


async def test_a_broken_upload_gives_its_turn_back() -> None:
    uploads = Uploads({NAME: BLOB}.get)
    for _ in range(2 * MAX_UPLOADS):
        with pytest.raises(OSError, match="pipe"):
            async with uploads.serve(ME, asked()):
                raise OSError("broken pipe")
    assert await content_of(uploads, asked()) == BLOB
    assert not uploads._begun, "nothing is kept of who has left"
    assert not uploads._waiting


async def test_one_peer_does_not_take_all_places_of_those_that_wait(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pullers = Pullers(nursery)
    await pullers.ask(*["greedy"] * (MAX_UPLOADS + MAX_WAITING))
    await pullers.ask(*(f"peer-{n}" for n in range(MAX_UPLOADS)))
    assert set(pullers.turned_away) == {"greedy"}
    nursery.cancel_scope.cancel()


async def not_taken(uploads: Uploads, peer: PeerId, *, after_s: float) -> None:
    with suppress(TransportError):
        async with uploads.serve(peer, asked()):
            await trio.sleep(after_s)
            raise TransportError("it took nothing")


async def test_who_did_not_take_an_upload_gets_one_at_a_time_for_a_while(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Two that read nothing would else have all turns, again and again."""
    pullers = Pullers(nursery)
    await not_taken(pullers.uploads, PeerId("slow"), after_s=SLOW_S)
    await not_taken(pullers.uploads, PeerId("gone"), after_s=0.9 * SLOW_S)
    await pullers.ask(*["slow"] * MAX_UPLOADS_TO_ONE, *["gone"] * MAX_UPLOADS_TO_ONE)
    assert sorted(pullers.served) == ["gone"] * MAX_UPLOADS_TO_ONE + ["slow"]
    for _ in range(MAX_UPLOADS_TO_ONE):
        await pullers.finish("slow")
    await trio.sleep(SLOW_FOR_S)
    await pullers.ask(*["slow"] * MAX_UPLOADS_TO_ONE)
    assert pullers.served[-MAX_UPLOADS_TO_ONE:] == ["slow"] * MAX_UPLOADS_TO_ONE
    nursery.cancel_scope.cancel()


async def test_slow_peers_are_remembered_in_bounded_number(autojump_clock: MockClock) -> None:
    uploads = Uploads({NAME: BLOB}.get)
    for number in range(MAX_SLOW + 10):
        await not_taken(uploads, PeerId(f"slow-{number}"), after_s=SLOW_S)
    assert len(uploads._slow_until) == MAX_SLOW


async def test_who_takes_an_upload_slowly_has_no_turn_of_the_others(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """26 KB/s for each are enough for a stream to stay: two such peers kept all others from a payload for ever."""
    pullers = Pullers(nursery)
    await pullers.ask(*["one"] * MAX_UPLOADS_TO_ONE, *["another"] * MAX_UPLOADS_TO_ONE)
    await trio.sleep(SLOW_S - 0.5 * PATIENCE_S)
    await pullers.ask("quick")
    assert "quick" not in pullers.served
    await trio.sleep(0.5 * PATIENCE_S)
    await wait_all_tasks_blocked()
    assert pullers.served[-1] == "quick"
    await pullers.ask(*(f"peer-{n}" for n in range(MAX_UPLOADS - 1)))
    assert len(pullers.served) == 2 * MAX_UPLOADS
    nursery.cancel_scope.cancel()


async def test_who_has_taken_an_upload_at_last_is_slow_all_the_same(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pullers = Pullers(nursery)
    await pullers.ask("slow")
    await trio.sleep(SLOW_S)
    await pullers.ask("slow")
    await pullers.finish("slow")
    assert pullers.served == ["slow"] * 2
    await pullers.ask("slow")
    await trio.sleep(PATIENCE_S + 0.1)
    assert pullers.turned_away == ["slow"]
    nursery.cancel_scope.cancel()


async def test_slow_peers_are_served_beside_the_others_in_bounded_number(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    pullers = Pullers(nursery)
    for number in range(MAX_UPLOADS + 1):
        await not_taken(pullers.uploads, PeerId(f"slow-{number}"), after_s=SLOW_S)
    await pullers.ask(*(f"peer-{n}" for n in range(MAX_UPLOADS)))
    await pullers.ask(*(f"slow-{n}" for n in range(MAX_UPLOADS + 1)))
    assert len(pullers.served) == 2 * MAX_UPLOADS
    nursery.cancel_scope.cancel()
