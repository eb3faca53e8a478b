"""Judge a swarm that has run: what it came to, and what must never happen and did."""

import math
import statistics
from collections.abc import Sequence

from peer.simulation.judge import SETTLE_S, SealedRound
from peer.simulation.result import Result, shortened
from peer.simulation.scenario import Scenario
from peer.simulation.swarm import Swarm
from peer.types import Seconds


def result_of(swarm: Swarm) -> Result:
    """Judge a swarm that has run."""
    judge, scenario = swarm.judge, swarm.scenario
    finals = sorted(peer.machine.final_round for peer in judge.honest())
    tip = max((peer.tip for peer in judge.honest()), key=lambda entry: (entry.round, entry.digest))
    chain = _chain(swarm)
    rounds = max(1, max(peer.tip.round for peer in judge.honest()))
    finality = sorted(judge.finality_s)
    assert tip.state is not None, "a tip is always applied"
    return Result(
        scenario=scenario,
        rounds_final=finals[len(finals) // 2],
        divergent_rounds=len(judge.divergent),
        forks=judge.forks,
        bytes_per_peer_per_round=round(float(swarm.post.sent_bytes.sum()) / scenario.peers / rounds),
        finality_median_s=_percentile(finality, 0.5),
        finality_p99_s=_percentile(finality, 0.99),
        excluded=tuple(f"peer-{number}" for number in sorted(judge.blamed)),
        trainings_diverged=judge.trainings_diverged,
        failures=tuple(_failures(swarm)),
        virtual_s=swarm.loop.now,
        switched=judge.switched,
        snapshots=judge.snapshots,
        refused=dict(judge.refused),
        admitted_mean=statistics.fmean(sealed.admitted for sealed in chain) if chain else 0.0,
        first_return=swarm.subject.evaluate(swarm.subject.initial()),
        last_return=swarm.subject.evaluate(tip.state),
        chain=chain,
    )


def _failures(swarm: Swarm) -> list[str]:
    judge, scenario = swarm.judge, swarm.scenario
    failures = [judge.divergent[number] for number in sorted(judge.divergent)]
    settled = judge.settled()
    behind = [peer for peer in settled if peer.machine.final_round < scenario.rounds - 1]
    if behind:
        failures.append(
            f"{len(behind)} of {len(settled)} honest peers had no final round {scenario.rounds - 1}"
            f" after {swarm.loop.now:.0f} s: {shortened([peer.name for peer in behind])}"
        )
    tips = {peer.tip.digest for peer in settled}
    if len(tips) > 1 and not _is_parted(scenario, swarm.loop.now):
        failures.append(f"honest peers ended on {len(tips)} different tips")
    liars = {number for number, _ in scenario.attackers}
    failures += [
        f"honest peer-{number} was refused: {dict(reasons)}"
        for number, reasons in sorted(judge.blamed.items())
        if number not in liars
    ]
    return failures


def _is_parted(scenario: Scenario, now: Seconds) -> bool:
    """Return whether a cut keeps peers from knowing what others know, or did until a moment ago."""
    return any(cut.start_s <= now < cut.end_s + SETTLE_S for cut in scenario.partitions)


def _chain(swarm: Swarm) -> tuple[SealedRound, ...]:
    """Return the sealed rounds behind the furthest honest tip, oldest first."""
    tip = max((peer.tip for peer in swarm.judge.honest()), key=lambda entry: (entry.round, entry.digest))
    found: list[SealedRound] = []
    sealed = swarm.judge.sealed.get(tip.digest)
    while sealed is not None:
        found.append(sealed)
        sealed = swarm.judge.sealed.get(sealed.parent)
    return tuple(reversed(found))


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of all are not above; NaN without values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
