"""The rules of agreement (docs/adr/0003) once more, as a state machine small enough to look at every state of it.

Written from the ADR and independent of `peer.rounds`: one fork, branches A and B, one manifest of each in every round,
a fixed set of electors, no liars. A state is who has voted for which branch in which round. In each step one peer casts
one vote, for either branch, in any round after its last; which of the others' votes have come to it by then is free.
Following a branch is left out, because peers may follow whatever they like: only votes make a round final.

Checked in every state that can be reached: A and B are not both final. With `Rules` weakened the search must find a
schedule in which they are; if it does not, it could not find such a bug in the rules proper either.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

A, B, NONE = "A", "B", ""
BRANCHES = (A, B)

Votes = tuple[str, ...]
"""One peer's votes by round: A, B, nothing, or (when a rule is broken) both."""
State = tuple[Votes, ...]
Step = tuple[int, int, str]
"""Peer, round, branch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of the ADR, each of which can be broken.

    one_vote_a_round: rule 2. proof_before_change: rule 3, a peer that voted for a branch votes for its rival only when
    the votes that it knows rule out a majority for the first. unknown_counts: in that proof a vote that is not known
    may be for the old branch. single_round: rule 4, votes of different rounds are not added up. in_order: rule 4, a
    manifest is final after the one before it only. Without that a later manifest, whose roster may have shrunk to any
    one peer by then, makes the first one of its branch final by the vote of that peer. counts_returned: an elector that
    could not be reached, and so was left out, is an elector again once it can be. Without that whatever some peers
    decided while they reached nobody else stays final among all.
    """

    one_vote_a_round: bool = True
    proof_before_change: bool = True
    unknown_counts: bool = True
    single_round: bool = True
    in_order: bool = True
    counts_returned: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """states: how many were looked at. violation: the votes that lead to two final rivals, None if there are none."""

    states: int
    violation: tuple[Step, ...] | None


def explore(peers: int, rounds: int, rules: Rules) -> Outcome:
    """Look at every state that can be reached from no votes at all, shortest schedules first."""
    start: State = ((NONE,) * rounds,) * peers
    came_from: dict[State, tuple[State, Step] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        state = waiting.popleft()
        if all(is_final(state, branch, rules) for branch in BRANCHES):
            return Outcome(states=len(came_from), violation=_schedule(state, came_from))
        for step, following in _steps(state, rules):
            if following not in came_from:
                came_from[following] = (state, step)
                waiting.append(following)
    return Outcome(states=len(came_from), violation=None)


def is_final(state: State, branch: str, rules: Rules) -> bool:
    """Return whether the votes cast so far make `branch` final for somebody who knows all of them and reaches all."""
    need = len(state) // 2 + 1
    if not rules.counts_returned:
        return any(_is_decided_among(group, branch) for group in _groups(state))
    if not rules.in_order and any(branch in vote for votes in state for vote in votes[1:]):
        return True
    if not rules.single_round:
        return sum(any(branch in vote for vote in votes) for votes in state) >= need
    return _is_decided_among(state, branch)


def _groups(state: State) -> Iterator[State]:
    """Return the votes of every group of peers that may have reached nobody else for a while."""
    return (group for size in range(1, len(state) + 1) for group in itertools.combinations(state, size))


def _is_decided_among(group: State, branch: str) -> bool:
    return any(2 * sum(branch in vote for vote in votes) > len(group) for votes in zip(*group, strict=True))


def _steps(state: State, rules: Rules) -> Iterator[tuple[Step, State]]:
    for peer, votes in enumerate(state):
        for number, branch in itertools.product(range(len(votes)), BRANCHES):
            if _may_vote(state, peer, number, branch, rules):
                cast = (*votes[:number], "".join(sorted({*votes[number], branch})), *votes[number + 1 :])
                yield (peer, number, branch), (*state[:peer], cast, *state[peer + 1 :])


def _may_vote(state: State, peer: int, number: int, branch: str, rules: Rules) -> bool:
    votes = state[peer]
    last = max((earlier for earlier, vote in enumerate(votes) if vote), default=-1)
    if branch in votes[number] or number < last:
        return False
    if number == last and rules.one_vote_a_round:
        return False
    if last < 0 or votes[last] == branch or not rules.proof_before_change:
        return True
    old = A if branch == B else B
    return any(_is_ruled_out(known, peer, old, last, rules) for known in _knowledge(state, peer))


def _knowledge(state: State, peer: int) -> Iterator[State]:
    """Return what `peer` may know: its own votes, and any of the others' that were cast ("?": not known to it)."""
    cast = [
        (other, number) for other, votes in enumerate(state) if other != peer for number, v in enumerate(votes) if v
    ]
    for size in range(len(cast), -1, -1):
        for known in itertools.combinations(cast, size):
            yield tuple(
                votes if other == peer else _seen(votes, {number for who, number in known if who == other})
                for other, votes in enumerate(state)
            )


def _seen(votes: Votes, known: set[int]) -> Votes:
    """Return another peer's votes as known: each names the round of the one before it, so gaps below are known too."""
    seen: list[str] = []
    for number in range(len(votes)):
        later = [vote for vote in known if vote > number]
        before = max((earlier for earlier in range(min(later, default=0)) if votes[earlier]), default=-1)
        abstained = bool(later) and number > before
        seen.append(votes[number] if number in known or abstained else "?")
    return tuple(seen)


def _is_ruled_out(known: State, peer: int, old: str, last: int, rules: Rules) -> bool:
    """Return whether `peer` can be sure that `old` gets no majority in the rounds in which it voted for it."""
    need = len(known) // 2 + 1
    new = A if old == B else B
    if any(sum(vote == new for vote in votes) >= need for votes in zip(*known, strict=True)):
        return True  # the rival is decided: the old branch cannot be
    for number in range(last + 1):
        possible = sum(
            old in votes[number] or (votes[number] == "?" and rules.unknown_counts and other != peer)
            for other, votes in enumerate(known)
        )
        if possible >= need:
            return False
    return True


def _schedule(state: State, came_from: dict[State, tuple[State, Step] | None]) -> tuple[Step, ...]:
    steps: list[Step] = []
    while (arrival := came_from[state]) is not None:
        state, step = arrival
        steps.append(step)
    return tuple(reversed(steps))
