"""Who did how much of a run, and whose work was rejected why: sums over the chain, which anybody can repeat."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from peer.history.record import Record
from peer.types import PeerId


@dataclass(slots=True, kw_only=True)
class Contribution:
    """What one peer has contributed to a run.

    rounds: those with an admitted delta. rejected: deltas by reason, as the sealers say.
    """

    peer: PeerId
    rounds: int = 0
    env_steps: int = 0
    sealed: int = 0
    first_round: int = 0
    last_round: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What all peers have contributed to a run.

    contributions: most env steps first. rounds: those that could be read; unreadable: the others.
    """

    contributions: tuple[Contribution, ...]
    rounds: int
    unreadable: int
    first_round: int
    last_round: int

    @property
    def env_steps(self) -> int:
        return sum(contribution.env_steps for contribution in self.contributions)


def sum_up(records: Iterable[Record]) -> Totals:
    """Add up records in any order. A delta that carries earlier work counts with all of its env steps, once."""
    table: dict[PeerId, Contribution] = {}
    rounds: list[int] = []
    unreadable = 0
    for record in records:
        if record.entry is None:
            unreadable += 1
            continue
        rounds.append(record.round)
        _add(table, record)
    return Totals(
        contributions=tuple(sorted(table.values(), key=lambda each: (-each.env_steps, each.peer))),
        rounds=len(rounds),
        unreadable=unreadable,
        first_round=min(rounds, default=0),
        last_round=max(rounds, default=0),
    )


def _add(table: dict[PeerId, Contribution], record: Record) -> None:
    def row(peer: str) -> Contribution:
        return table.setdefault(PeerId(peer), Contribution(peer=PeerId(peer)))

    assert record.entry is not None
    for peer, env_steps in record.entry.env_steps_by_peer():
        contribution = row(peer)
        contribution.rounds += 1
        contribution.env_steps += env_steps
        contribution.first_round = min(contribution.first_round or record.round, record.round)
        contribution.last_round = max(contribution.last_round, record.round)
    if record.entry.sealer is not None:
        row(record.entry.sealer).sealed += 1
    for rejection in record.rejected:
        row(rejection.peer).rejected[rejection.reason] += 1
