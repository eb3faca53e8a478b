"""Fork choice: a total order for everybody who knows the same, and no way back to an old state."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from peer.rounds.departed import next_departed
from peer.rounds.entry import Entry
from peer.rounds.fork_choice import Branch, is_near, outranks, prefer
from peer.rounds.roster import Admission, next_roster
from peer.types import Digest, PeerId
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
        assert outranks(challenger, current) != outranks(current, challenger)
        as_branches = [
            Branch(first_digest=entry.digest, first_view=entry.view, decided=False, score=entry.score)
            for entry in (challenger, current)
        ]
        assert outranks(challenger, current) == prefer(*as_branches, bound=free)
        current = challenger if outranks(challenger, current) else current
    assert (current.score, current.view, current.digest) == (26, 0, 32 * b"a")


def test_old_state_is_not_near_however_large_its_roster() -> None:
    assert is_near((10, 40), (12, 45), zone=30)
    assert not is_near((4, 20), (10, 45), zone=30)
    assert not is_near((10, 10), (11, 45), zone=30)


NAMES = [PeerId(f"peer {number}") for number in range(6)]


def chain(
    seed: int, *, start: Entry | None = None, rounds: int = 6, names: list[PeerId] = NAMES, least: int = 1
) -> Iterator[Entry]:
    """Yield the entries of a chain that admits `least` of `names` or more each round, so that peers leave and come
    back."""
    rng = random.Random(seed)
    entry = start or first_entry()
    for number in range(entry.round + 1, entry.round + 1 + rounds):
        admitted = rng.sample(names, rng.randint(least, len(names)))
        roster = next_roster(
            entry.roster,
            {peer: Admission(sequence=rng.randrange(4) + 4 * number, steps_per_s=1) for peer in admitted},
            miss_limit=2,
        )
        departed, horizon = next_departed(
            entry.departed, entry.horizon, before=entry.roster, after=roster, round_number=number
        )
        entry = replace(
            entry, round=number, score=entry.score + len(admitted), digest=Digest(rng.randbytes(32)),
            roster=roster, departed=departed, horizon=horizon,
        )  # fmt: skip
        yield entry


@given(st.integers(0, 10_000))
def test_own_past_never_wins_over_what_builds_on_it(seed: int) -> None:
    """Also where the roster was larger then, as in a swarm that some have just left."""
    line = list(chain(seed))
    for older, newer in itertools.combinations(line, 2):
        assert outranks(newer, older)
        assert not outranks(older, newer)


@given(st.integers(0, 10_000))
def test_chains_near_a_tie_are_in_one_order_for_all(seed: int) -> None:
    """Else peers that meet in a ring, each with a chain better than the next one's, go round for ever."""
    *_, root = chain(seed, rounds=3)
    tips = [list(chain(seed + 7 * branch, start=root, rounds=2))[branch % 2] for branch in range(1, 4)]
    ends = set()
    for order in itertools.permutations(tips):
        best = order[0]
        for challenger in order[1:]:
            assert outranks(challenger, best) != outranks(best, challenger)
            best = challenger if outranks(challenger, best) else best
        ends.add(best.digest)
    assert len(ends) == 1


@given(st.integers(0, 10_000))
def test_of_two_halves_of_equal_pace_one_stays_and_the_other_comes(seed: int) -> None:
    """At whatever moments they look at each other: were each to follow the score of the moment, they could swap."""
    *_, root = chain(seed, rounds=2)
    one = list(chain(seed, start=root, rounds=5, names=NAMES[:3], least=3))[2:]
    other = list(chain(seed + 1, start=root, rounds=5, names=NAMES[3:], least=3))[2:]
    for mine, theirs in itertools.product(one, other):
        if abs(mine.round - theirs.round) <= 2:
            assert outranks(mine, theirs)
            assert not outranks(theirs, mine)


def test_a_chain_far_ahead_wins_whoever_works_for_it() -> None:
    crowd = list(chain(1, rounds=9, names=NAMES[1:]))[-1]
    alone = list(chain(2, rounds=9, names=NAMES[:1]))[-1]
    assert outranks(crowd, alone)
    assert not outranks(alone, crowd)
