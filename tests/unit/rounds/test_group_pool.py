"""Room for group seals: one a sealer and base, so that nobody is asked to seal what it has sealed already."""

from peer.network.identity import Identity
from peer.peer_ids import public_key_of
from peer.rounds.group_pool import GroupPool
from peer.types import Digest
from peer.wire.envelope import Signed, seal
from peer.wire.hashing import digest_of
from peer.wire.messages import GroupMember, GroupSeal

BASE = Digest(b"b" * 32)


def seal_of(number: int, *, base: bytes = BASE, group: int = 0, round_number: int = 3) -> Signed[GroupSeal]:
    sealer = Identity.for_tests(number)
    member = GroupMember(
        key=public_key_of(sealer.peer_id), header=b"h" * 16, sequence=1, env_steps=10, steps_per_s=5
    )  # fmt: skip
    body = GroupSeal(
        round=round_number, base=base, group=group, payload=b"p" * 32, payload_bytes=8, codec="float32", env_steps=10,
        weight=10, l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None, members=(member,), rejected=(),
    )  # fmt: skip
    return seal(body, sealer, run=b"r" * 16)


def takes(pool: GroupPool, number: int, *, rank: int) -> bool:
    return pool.takes(Identity.for_tests(number).peer_id, base=BASE, group=0, rank=rank)


def test_a_sealer_that_is_held_is_not_taken_a_second_time() -> None:
    pool = GroupPool(is_near=lambda base: base == BASE)
    assert takes(pool, 1, rank=0)
    assert pool.add(seal_of(1), rank=0)
    assert not takes(pool, 1, rank=0)
    assert takes(pool, 2, rank=1)


def test_a_full_group_takes_those_only_whose_turn_is_before_the_last() -> None:
    pool = GroupPool(is_near=lambda base: base == BASE)
    for number in range(1, 9):
        assert pool.add(seal_of(number), rank=number)
    assert not takes(pool, 20, rank=8)
    assert takes(pool, 20, rank=7)
    assert pool.add(seal_of(20), rank=7)
    assert pool.get(seal_of(8).digest) is None
    assert len(pool) == 8


def test_seals_on_unknown_bases_displace_none_near_the_tip() -> None:
    pool = GroupPool(is_near=lambda base: base == BASE)
    pool.add(seal_of(1), rank=0)
    for number in range(2, 40):
        pool.add(seal_of(number, base=digest_of(b"%d" % number)), rank=64)
    assert pool.on_base(BASE) == [seal_of(1)]
    assert len(pool.bases()) == 17


def test_one_sealer_has_one_seal_on_each_of_two_unknown_bases_at_most() -> None:
    pool = GroupPool(is_near=lambda base: base == BASE)
    pool.add(seal_of(1), rank=0)
    bases = [digest_of(b"%d" % number) for number in range(20)]
    for number, base in enumerate(bases):
        assert pool.add(seal_of(2, base=base, round_number=3 + number), rank=64)
        assert not pool.add(seal_of(2, base=base, group=1, round_number=3 + number), rank=64)
    assert pool.bases() == [BASE, bases[18], bases[19]]
    assert len(pool) == 3
    older = seal_of(2, base=digest_of(b"older"), round_number=2)
    assert not pool.add(older, rank=64), "it displaces none of a later round"
    assert pool.bases() == [BASE, bases[18], bases[19]]


def test_a_full_group_refuses_whoever_is_not_before_the_last_and_drops_nobody_for_it() -> None:
    pool = GroupPool(is_near=lambda base: base == BASE)
    for number in range(1, 9):
        pool.add(seal_of(number), rank=number)
    assert not pool.add(seal_of(20), rank=8)
    assert len(pool) == 8
    assert pool.get(seal_of(8).digest) is not None
