"""Every schedule of votes at a fork: rivals are never both final, and a weakened rule is found out."""

import pytest

from tests.model.agreement_model import A, B, Rules, explore, is_final


@pytest.mark.parametrize(("peers", "rounds"), [(2, 3), (3, 2), (3, 3), (4, 2)])
def test_rules_as_they_are_never_make_rivals_final(peers: int, rounds: int) -> None:
    outcome = explore(peers, rounds, Rules())
    assert outcome.violation is None
    assert outcome.states > 3**peers, "the search went somewhere"


@pytest.mark.parametrize(
    ("weakened", "peers"),
    [
        (Rules(proof_before_change=False), 3),
        (Rules(single_round=False), 4),
        (Rules(one_vote_a_round=False), 3),
        (Rules(unknown_counts=False), 3),
        (Rules(in_order=False), 3),
        (Rules(counts_returned=False), 3),
    ],
    ids=[
        "changes without proof",
        "adds rounds up",
        "votes twice a round",
        "takes silence for a no",
        "lets heirs decide",
        "keeps what was decided without others",
    ],
)
def test_weakened_rule_makes_rivals_final_and_the_search_finds_it(weakened: Rules, peers: int) -> None:
    outcome = explore(peers, 2, weakened)
    assert outcome.violation is not None
    state = replay(outcome.violation, peers=peers, rounds=2)
    assert is_final(state, A, weakened)
    assert is_final(state, B, weakened)


def test_shortest_violation_without_proof_is_the_one_of_the_text_book() -> None:
    """Two peers make A final in the first round; one of them and the third make B final in the second."""
    outcome = explore(3, 2, Rules(proof_before_change=False))
    assert outcome.violation is not None
    assert len(outcome.violation) == 4


def test_branch_that_everybody_votes_for_is_final() -> None:
    assert is_final(((A,), (A,), (B,)), A, Rules())
    assert not is_final(((A,), (A,), (B,)), B, Rules())
    assert not is_final(((A, ""), ("", A), (B, B)), A, Rules()), "one vote in each of two rounds"
    assert is_final(((A, ""), ("", A), (B, B)), A, Rules(single_round=False))


def replay(schedule: tuple[tuple[int, int, str], ...], *, peers: int, rounds: int) -> tuple[tuple[str, ...], ...]:
    """Return the state after a schedule, by other means than the search."""
    votes = [[""] * rounds for _ in range(peers)]
    for peer, number, branch in schedule:
        votes[peer][number] = "".join(sorted({*votes[peer][number], branch}))
    return tuple(tuple(row) for row in votes)
