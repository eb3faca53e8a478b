"""Fork choice: a total order for everybody who knows the same, and no way back to an old state."""

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from peer.rounds.fork_choice import Branch, is_near, outranks, prefer
from peer.types import Digest
from tests.swarm.machine_swarm import first_entry

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


@given(st.permutations([(26, 0, b"a"), (26, 0, b"b"), (26, 1, b"a"), (25, 0, b"a")]))
def test_rival_last_rounds_are_ranked_alike_by_joiners_and_by_those_who_see_the_fork(
    order: list[tuple[int, int, bytes]],
) -> None:
    """Nothing grows any more, so a tie would keep a joiner that took the losing one for ever."""
    rivals = [replace(first_entry(), score=score, view=view, digest=Digest(32 * name)) for score, view, name in order]
    current = rivals[0]
    for challenger in rivals[1:]:
        assert outranks(challenger, current, history=6) != outranks(current, challenger, history=6)
        as_branches = [
            Branch(first_digest=entry.digest, first_view=entry.view, decided=False, score=entry.score)
            for entry in (challenger, current)
        ]
        assert outranks(challenger, current, history=6) == prefer(*as_branches, bound=free)
        current = challenger if outranks(challenger, current, history=6) else current
    assert (current.score, current.view, current.digest) == (26, 0, 32 * b"a")


def test_old_state_is_not_near_however_large_its_roster() -> None:
    assert is_near((10, 40), (12, 45), zone=30)
    assert not is_near((4, 20), (10, 45), zone=30)
    assert not is_near((10, 10), (11, 45), zone=30)
