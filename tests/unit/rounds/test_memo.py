"""What is remembered of a computation, and for how long."""

from peer.rounds.memo import Memo


class Counted:
    """Returns how often it has been called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        return self.calls


def test_value_is_computed_anew_only_when_its_key_changes() -> None:
    memo, compute = Memo[int](), Counted()
    assert [memo.get(key, compute) for key in ("a", "a", "b", "a")] == [1, 1, 2, 3]


def test_none_is_a_key_and_a_value_like_others() -> None:
    memo, calls = Memo[None](), []
    for _ in range(2):
        memo.get(None, lambda: calls.append(1))
    assert len(calls) == 1


def test_forgotten_value_is_computed_anew_for_the_same_key() -> None:
    memo, compute = Memo[int](), Counted()
    memo.get("a", compute)
    memo.forget()
    assert memo.get("a", compute) == 2
