"""Headers by their short name, as a group seal names them."""

from peer.network.identity import Identity
from peer.rounds.headers import NAME_BYTES, HeaderPool
from peer.types import Digest
from peer.wire.envelope import Signed, seal
from peer.wire.messages import DeltaHeader
from tests.unit.services.chains import RUN

BASE = Digest(b"b" * 32)


def header(sequence: int, *, number: int = 1) -> Signed[DeltaHeader]:
    message = DeltaHeader(
        round=1, base=BASE, sequence=sequence, payload=b"p" * 32, payload_bytes=1, codec="float32", env_steps=1,
        weight=1, steps_per_s=1, l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None, tasks=(),
    )  # fmt: skip
    return seal(message, Identity.for_tests(number), run=RUN)


def test_a_header_is_found_by_the_beginning_of_its_digest() -> None:
    pool, mine, other = HeaderPool(), header(1), header(1, number=2)
    pool.add(mine)
    pool.add(other)
    assert pool.named(BASE, mine.digest[:NAME_BYTES]) is mine
    assert pool.named(BASE, other.digest[:NAME_BYTES]) is other
    assert pool.named(Digest(b"c" * 32), mine.digest[:NAME_BYTES]) is None


def test_a_header_that_a_newer_one_replaced_is_found_no_more() -> None:
    pool, older, newer = HeaderPool(), header(1), header(2)
    pool.add(older)
    pool.add(newer)
    assert pool.named(BASE, older.digest[:NAME_BYTES]) is None
    assert pool.named(BASE, newer.digest[:NAME_BYTES]) is newer


def test_a_forgotten_base_takes_its_names_along() -> None:
    pool, mine = HeaderPool(), header(1)
    pool.add(mine)
    pool.forget(keep=())
    assert pool.named(BASE, mine.digest[:NAME_BYTES]) is None
