"""Weighted rendezvous with even loads: everybody computes the same, little moves, and shares follow the weights."""

import hashlib
import math
import random
import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.tasks.assignment import Assignment, assign, cost, distance, fair_share, weight_class
from peer.types import PeerId

Roster = list[tuple[PeerId, int]]

PEERS = st.text("abcdefghijklmnop", min_size=1, max_size=6).map(PeerId)
ROSTERS = st.dictionaries(PEERS, st.integers(0, 2**53), min_size=1, max_size=12).map(
    lambda weights: sorted(weights.items())
)
TASKS = st.sets(st.text("0123456789-", min_size=1, max_size=8), min_size=1, max_size=20).map(sorted)


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{i}" for i in range(count)]


def owners(assignment: Assignment) -> dict[str, PeerId]:
    return {share.task: share.owner for share in assignment.shares}


@given(TASKS, ROSTERS, st.randoms())
def test_order_of_tasks_and_roster_does_not_matter(tasks: list[str], roster: Roster, rng: random.Random) -> None:
    shuffled_tasks, shuffled_roster = tasks.copy(), roster.copy()
    rng.shuffle(shuffled_tasks)
    rng.shuffle(shuffled_roster)
    assert assign(shuffled_tasks, shuffled_roster) == assign(tasks, roster)


@given(TASKS, ROSTERS)
def test_every_share_lies_within_its_bounds(tasks: list[str], roster: Roster) -> None:
    total = sum(max(weight, 1) for _, weight in roster)
    owned = Counter(owners(assign(tasks, roster)).values())
    for peer, weight in roster:
        least, most = fair_share(len(tasks), max(weight, 1), total)
        assert 0 <= least <= owned[peer] <= most
        exact = len(tasks) * max(weight, 1) / total
        assert exact * 0.75 - 1 < least <= most < exact * 1.25 + 1


@pytest.mark.parametrize(
    ("tasks", "peers", "shares"), [(4, 2, [2, 2]), (4, 3, [1, 1, 2]), (2, 2, [1, 1]), (3, 4, [0, 1, 1, 1])]
)
def test_few_tasks_are_shared_out_evenly_whatever_the_hashes_say(tasks: int, peers: int, shares: list[int]) -> None:
    """By hashes alone, one of two peers owns all of four tasks in every eighth swarm, and the other helps with one."""
    for swarm in range(200):
        roster = [(PeerId(f"swarm{swarm}-peer{i}"), 1000) for i in range(peers)]
        owned = Counter(owners(assign(names("task", tasks), roster)).values())
        assert sorted(owned[peer] for peer, _ in roster) == shares


@pytest.mark.parametrize(("count", "size", "most"), [(4, 2, 0.0), (4, 3, 0.8), (12, 4, 1.3), (64, 8, 4.0)])
def test_when_a_peer_leaves_few_tasks_move_that_were_not_its_own(count: int, size: int, most: float) -> None:
    """In the mean over swarms; without any rule that remembers, as with shares in turn, most of the others' would."""
    others = []
    for swarm in range(60):
        roster = [(PeerId(f"swarm{swarm}-peer{i}"), 1000) for i in range(size)]
        before, after = (owners(assign(names("task", count), some)) for some in (roster, roster[1:]))
        others.append(sum(before[task] not in (after[task], roster[0][0]) for task in before))
    assert statistics.mean(others) <= most


@given(TASKS, ROSTERS)
def test_every_peer_has_work_and_every_task_one_owner(tasks: list[str], roster: Roster) -> None:
    assignment = assign(tasks, roster)
    assert [share.task for share in assignment.shares] == tasks
    for peer, _ in roster:
        owned = assignment.owned_by(peer)
        assert assignment.tasks_of(peer) == owned or (not owned and len(assignment.tasks_of(peer)) == 1)
        assert assignment.tasks_of(peer)
        assert assignment.is_helper(peer) == (not owned)


@given(TASKS, ROSTERS, st.data())
def test_helper_keeps_its_task_when_another_helper_leaves(
    tasks: list[str], roster: Roster, data: st.DataObject
) -> None:
    before = assign(tasks, roster)
    helpers = [peer for peer, _ in roster if before.is_helper(peer)]
    if len(helpers) < 2:
        return
    gone = data.draw(st.sampled_from(helpers))
    after = assign(tasks, [entry for entry in roster if entry[0] != gone])
    still = [peer for peer in helpers if after.is_helper(peer)]
    assert all(after.tasks_of(peer) == before.tasks_of(peer) for peer in still)


@pytest.mark.parametrize(
    "weights", [[1, 1, 1, 1], [1, 2, 3, 4], [1, 10, 100], [84_000, 12_000, 250_000], [2**53, 2**53 - 1]]
)
def test_shares_of_many_tasks_are_proportional_to_weights(weights: list[int]) -> None:
    """Within 4.5 standard deviations of the binomial that a perfect hash would give: the bounds are for few tasks."""
    roster = [(PeerId(f"peer{i}"), weight) for i, weight in enumerate(weights)]
    count = 6000
    got = Counter(owners(assign(names("task", count), roster)).values())
    for peer, weight in roster:
        share = weight / sum(weights)
        spread = math.sqrt(count * share * (1 - share))
        assert abs(got[peer] - count * share) <= 4.5 * spread, (peer, got[peer], count * share)


def test_order_equals_the_textbook_formula() -> None:
    """Oracle: -w / ln(h) in floating point, on pairs whose scores are not within rounding of each other."""
    roster = [(PeerId(f"p{i}"), 1 + i * i) for i in range(20)]

    def score(task: str, peer: PeerId, weight: int) -> float:
        digest = hashlib.sha256(b"murmuration task 1\0" + f"{task}\0{peer}".encode()).digest()
        return -weight / math.log((int.from_bytes(digest[:8]) + 1) / 2**64)

    for task in names("t", 300):
        expected = sorted(roster, key=lambda entry: -score(task, *entry))
        assert sorted(roster, key=lambda entry: cost(task, *entry)) == expected


def test_golden_assignment_is_the_same_on_every_machine() -> None:
    """Peers of two rules would train some tasks twice and others not at all: who owns what is part of the protocol."""
    assignment = assign(names("task-", 64), [(PeerId(f"12D3KooW{i}"), 2**i) for i in range(8)])
    text = ";".join(f"{s.task},{s.owner},{'+'.join(s.helpers)}" for s in assignment.shares)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "d4fa0facc95dde3f"
    assert distance("task-0", PeerId("12D3KooW0")) == 1757873372576


def test_zero_weights_count_as_one() -> None:
    roster = [(PeerId("a"), 0), (PeerId("b"), 0), (PeerId("c"), 1)]
    tasks = names("t", 300)
    assert assign(tasks, roster) == assign(tasks, [(peer, 1) for peer, _ in roster])
    assert len(set(owners(assign(tasks, roster)).values())) == 3


def test_lone_peer_owns_everything() -> None:
    assignment = assign(["b", "a"], [(PeerId("me"), 7)])
    assert assignment.owned_by(PeerId("me")) == ("a", "b")
    assert assignment.tasks_of(PeerId("stranger")) == ()


@pytest.mark.parametrize(
    ("tasks", "roster", "message"),
    [
        ([], [("a", 1)], "got 0 tasks and 1 peers"),
        (["t"], [], "got 1 tasks and 0 peers"),
        (["t", "t"], [("a", 1)], "a task is listed twice"),
        (["t"], [("a", 1), ("a", 2)], "a peer is listed twice"),
        (["t"], [("a", -1)], "weight of a must be 0 or more, got -1"),
    ],
)
def test_impossible_request_is_refused(tasks: list[str], roster: Roster, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        assign(tasks, roster)


@pytest.mark.parametrize(("speed", "expected"), [(0, 1), (1, 1), (2, 2), (3, 2), (84_199, 65_536), (2**53, 2**53)])
def test_weight_class_is_the_power_of_two_below(speed: int, expected: int) -> None:
    assert weight_class(speed) == expected
