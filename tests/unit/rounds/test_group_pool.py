"""Room for group seals: one a sealer and base, so that nobody is asked to seal what it has sealed already."""

from peer.network.identity import Identity
from peer.rounds.group_pool import GroupPool
from peer.types import Digest
from peer.wire.envelope import Signed, seal
from peer.wire.messages import GroupMember, GroupSeal
from peer.wire.peer_ids import public_key_of

BASE = Digest(b"b" * 32)


def seal_of(number: int) -> Signed[GroupSeal]:
    sealer = Identity.for_tests(number)
    member = GroupMember(
        key=public_key_of(sealer.peer_id), header=b"h" * 16, sequence=1, env_steps=10, steps_per_s=5
    )  # fmt: skip
    body = GroupSeal(
        round=3, base=BASE, group=0, payload=b"p" * 32, payload_bytes=8, codec="float32", env_steps=10, weight=10,
        l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None, members=(member,), rejected=(),
    )  # fmt: skip
    return seal(body, sealer, run=b"r" * 16)


def takes(pool: GroupPool, number: int, *, rank: int) -> bool:
    return pool.takes(Identity.for_tests(number).peer_id, base=BASE, group=0, rank=rank)


def test_a_sealer_that_is_held_is_not_taken_a_second_time() -> None:
    pool = GroupPool()
    assert takes(pool, 1, rank=0)
    assert pool.add(seal_of(1), rank=0)
    assert not takes(pool, 1, rank=0)
    assert takes(pool, 2, rank=1)


def test_a_full_group_takes_those_only_whose_turn_is_before_the_last() -> None:
    pool = GroupPool()
    for number in range(1, 9):
        assert pool.add(seal_of(number), rank=number)
    assert not takes(pool, 20, rank=8)
    assert takes(pool, 20, rank=7)
    assert pool.add(seal_of(20), rank=7)
    assert pool.get(seal_of(8).digest) is None
    assert len(pool) == 8
