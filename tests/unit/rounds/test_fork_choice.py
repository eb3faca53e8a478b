"""Fork choice: a total order for everybody who knows the same, and no way back to an old state."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from peer.rounds.fork_choice import Branch, is_near, prefer

branches = st.builds(
    Branch,
    first_digest=st.binary(min_size=32, max_size=32),
    first_view=st.integers(0, 3),
    decided=st.booleans(),
    score=st.integers(0, 5),
)


def free() -> bool:
    return False


def held_back() -> bool:
    return True


@given(st.lists(branches, min_size=2, max_size=5, unique_by=lambda branch: branch.first_digest))
def test_any_order_of_arrival_ends_at_the_same_branch(rivals: list[Branch]) -> None:
    ends = set()
    for order in itertools.permutations(rivals):
        current = order[0]
        for challenger in order[1:]:
            if prefer(challenger, current, bound=free):
                current = challenger
        ends.add(current.first_digest)
    assert len(ends) == 1


@given(branches, branches)
def test_never_preferred_both_ways(a: Branch, b: Branch) -> None:
    assert not (prefer(a, b, bound=free) and prefer(b, a, bound=free))


@given(branches, branches)
def test_bound_peer_leaves_only_for_a_decided_branch(a: Branch, b: Branch) -> None:
    assert prefer(a, b, bound=held_back) == (a.decided and not b.decided)


def test_old_state_is_not_near_however_large_its_roster() -> None:
    assert is_near((10, 40), (12, 45), zone=30)
    assert not is_near((4, 20), (10, 45), zone=30)
    assert not is_near((10, 10), (11, 45), zone=30)
