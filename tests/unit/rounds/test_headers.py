"""Headers by their short name, as a group seal names them; and who has to go where there is no room."""

from peer.network.identity import Identity
from peer.rounds.headers import NAME_BYTES, HeaderPool
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed, seal
from peer.wire.hashing import digest_of
from peer.wire.messages import DeltaHeader
from tests.unit.services.chains import RUN

BASE = Digest(b"b" * 32)


def pool_of(*members: int) -> HeaderPool:
    """Return a pool of a peer whose tip is `BASE`, with these on its roster."""
    roster: set[PeerId] = {Identity.for_tests(number).peer_id for number in members}
    return HeaderPool(is_near=lambda base: base == BASE, is_member=lambda peer: peer in roster)


def header(sequence: int, *, number: int = 1, base: bytes = BASE) -> Signed[DeltaHeader]:
    message = DeltaHeader(
        round=1, base=base, sequence=sequence, payload=b"p" * 32, payload_bytes=1, codec="float32", env_steps=1,
        weight=1, steps_per_s=1, l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None, tasks=(),
    )  # fmt: skip
    return seal(message, Identity.for_tests(number), run=RUN)


def test_a_header_is_found_by_the_beginning_of_its_digest() -> None:
    pool, mine, other = pool_of(), header(1), header(1, number=2)
    pool.add(mine)
    pool.add(other)
    assert pool.named(BASE, mine.digest[:NAME_BYTES]) is mine
    assert pool.named(BASE, other.digest[:NAME_BYTES]) is other
    assert pool.named(Digest(b"c" * 32), mine.digest[:NAME_BYTES]) is None


def test_the_newest_header_of_a_peer_is_that_with_the_highest_sequence_on_any_base() -> None:
    pool, newest = pool_of(), header(7, base=b"c" * 32)
    for one in (header(3), newest, header(9, number=2)):
        pool.add(one)
    assert pool.newest_of(newest.peer) is newest
    assert pool.newest_of(PeerId("nobody")) is None


def test_a_header_that_a_newer_one_replaced_is_found_no_more() -> None:
    pool, older, newer = pool_of(), header(1), header(2)
    pool.add(older)
    pool.add(newer)
    assert pool.named(BASE, older.digest[:NAME_BYTES]) is None
    assert pool.named(BASE, newer.digest[:NAME_BYTES]) is newer


def test_a_forgotten_base_takes_its_names_along() -> None:
    pool, mine = pool_of(), header(1)
    pool.add(mine)
    pool.forget(keep=())
    assert pool.named(BASE, mine.digest[:NAME_BYTES]) is None


def test_headers_on_unknown_bases_displace_none_near_the_tip() -> None:
    pool, mine = pool_of(), header(1)
    pool.add(mine)
    for number in range(2, 40):
        pool.add(header(1, number=number, base=digest_of(b"%d" % number)))
    assert pool.on_base(BASE) == [mine]
    assert len(pool.bases()) == 17


def test_one_peer_has_headers_on_two_unknown_bases_at_most_the_newest() -> None:
    pool, other = pool_of(), header(1, number=2, base=digest_of(b"other"))
    pool.add(other)
    bases = [digest_of(b"%d" % sequence) for sequence in range(20)]
    for sequence in (5, *range(20)):
        pool.add(header(sequence, base=bases[sequence]))
    assert pool.bases() == [other.message.base, bases[18], bases[19]]
    assert not pool.add(header(3, base=bases[3]))


def test_on_a_full_base_members_displace_others() -> None:
    pool = pool_of(200, 201)
    for number in range(1, 131):
        pool.add(header(1, number=number))
    assert len(pool.on_base(BASE)) == 128
    assert pool.add(header(1, number=200))
    assert pool.add(header(1, number=201))
    assert {Identity.for_tests(200).peer_id, Identity.for_tests(201).peer_id} < pool.peers_on(BASE)
    assert len(pool.on_base(BASE)) == len(pool.peers_on(BASE)) == 128
    assert not pool.add(header(1, number=202))
