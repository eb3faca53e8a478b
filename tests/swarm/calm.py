"""What becomes of a swarm once its faults have stopped, counted in rounds: when all are one again, and all is final."""

from dataclasses import dataclass

from tests.swarm.machine_swarm import MachineSwarm

LEAST_S = 25.0
MOST_S = 120.0
MOST_ROUNDS_TO_EQUAL = 3
FINAL_BEHIND = 3
"""Rounds that finality may be behind the tip while it works as it should: those that are in flight."""
_LOOK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """Rounds sealed on the common chain since the faults stopped.

    until_equal: when all tips were the same, and nobody has been off that chain since; None: they never were.
    until_final: when, after that, the final round of everybody was at most `FINAL_BEHIND` behind the tip. rounds: in
    all, by the end.
    """

    until_equal: int | None
    until_final: int | None
    rounds: int


def live_through_calm(swarm: MachineSwarm) -> Calm:
    """Let `LEAST_S` pass; more, while not all is final and neither `MOST_S` nor as many rounds as finality may take
    are over."""
    sealed_before = set(swarm.entries)
    started, until_equal, until_final = swarm.now, None, None

    def rounds() -> int:
        newest = max((member.machine.tip for member in swarm.alive), key=lambda tip: tip.score)
        return sum(entry.digest not in sealed_before for entry in swarm.chain(newest))

    while True:
        swarm.run(_LOOK_S)
        if until_equal is None:
            until_equal = rounds() if len(swarm.tips()) == 1 else None
        elif swarm.agreed_round() < _top(swarm) - 2:
            until_equal = until_final = None
        if until_equal is not None and until_final is None and _final(swarm) >= _top(swarm) - FINAL_BEHIND:
            until_final = rounds()
        passed_s = swarm.now - started
        is_given_up = passed_s >= MOST_S or rounds() > most_rounds_to_final(swarm)
        if passed_s >= LEAST_S and (until_final is not None or is_given_up):
            return Calm(until_equal=until_equal, until_final=until_final, rounds=rounds())


def most_rounds_to_final(swarm: MachineSwarm) -> int:
    """Return after how many rounds all is final: a vote that stays unknown holds finality up for as long as its fork
    is in the window (docs/adr/0003)."""
    return MOST_ROUNDS_TO_EQUAL + swarm.rules.history + FINAL_BEHIND


def assert_one_again(swarm: MachineSwarm, calm: Calm) -> None:
    assert calm.until_equal is not None, "not all tips were ever the same"
    assert calm.until_equal <= MOST_ROUNDS_TO_EQUAL
    assert calm.until_final is not None, "somebody's finality never caught up"
    assert calm.until_final <= most_rounds_to_final(swarm)
    assert calm.rounds >= MOST_ROUNDS_TO_EQUAL, "the swarm went on"


def _top(swarm: MachineSwarm) -> int:
    return max(member.machine.tip.round for member in swarm.alive)


def _final(swarm: MachineSwarm) -> int:
    return min(member.machine.final_round for member in swarm.alive)
