"""What a run came to: one object for programs, a few lines for people. The same seed gives the same bytes."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from peer.simulation.arguments import command, partition
from peer.simulation.judge import SETTLE_S, SealedRound
from peer.simulation.scenario import Scenario
from peer.simulation.swarm import Swarm
from peer.telemetry.plain_text import plural
from peer.types import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a simulation has found.

    rounds_final: rounds that the median honest peer holds as final; the last one may be missing, when rivals split its
    votes and no later round decides between them. divergent_rounds: final rounds for which two honest, connected peers
    held different models: any above 0 is a bug. forks: manifests with rival successors. finality_s: from a manifest's
    first appearance to each peer's knowing it to be final. excluded: names of peers whose messages others refused.
    trainings_diverged: of honest peers, which discarded the outcome. failures: what must never happen, and did.
    """

    scenario: Scenario
    rounds_final: int
    divergent_rounds: int
    forks: int
    bytes_per_peer_per_round: int
    finality_median_s: Seconds
    finality_p99_s: Seconds
    excluded: tuple[str, ...]
    trainings_diverged: int
    failures: tuple[str, ...]
    virtual_s: Seconds
    switched: int
    snapshots: int
    refused: dict[str, int]
    admitted_mean: float
    first_return: float
    last_return: float
    chain: tuple[SealedRound, ...]

    @property
    def is_sound(self) -> bool:
        return not self.failures

    def json(self) -> str:
        """Return one object on one line, with the command that replays the run."""
        return json.dumps(
            {
                "peers": self.scenario.peers,
                "rounds_final": self.rounds_final,
                "divergent_rounds": self.divergent_rounds,
                "forks": self.forks,
                "bytes_per_peer_per_round": self.bytes_per_peer_per_round,
                "finality_s": {"median": _number(self.finality_median_s), "p99": _number(self.finality_p99_s)},
                "excluded": list(self.excluded),
                "trainings_diverged": self.trainings_diverged,
                "seed": self.scenario.seed,
                "sound": self.is_sound,
                "failures": list(self.failures),
                "replay": command(self.scenario),
            },
            allow_nan=False,
        )

    def text(self) -> str:
        """Return the summary, ending with the command that replays the run."""
        excluded = _shortened(self.excluded) or "nobody"
        refused = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.refused.items())) or "none"
        lines = [
            f"{plural(self.scenario.peers, 'peer')}, {self.rounds_final} of {self.scenario.rounds} rounds final"
            f" in {self.virtual_s:,.1f} s of virtual time",
            f"  agreement   {plural(self.divergent_rounds, 'divergent round')}, {plural(self.forks, 'fork')},"
            f" {plural(self.switched, 'branch switch', ending='es')}, {plural(self.snapshots, 'snapshot')} taken over",
            f"  finality    median {self.finality_median_s:.2f} s, 99th percentile {self.finality_p99_s:.2f} s"
            " after a manifest appeared",
            f"  traffic     {_size(self.bytes_per_peer_per_round)} sent by each peer in a round",
            f"  deltas      {self.admitted_mean:.1f} admitted in a round",
            f"  learning    return {self.first_return:.1f} -> {self.last_return:.1f}",
            f"  refused     {refused}",
            f"  excluded    {excluded}",
        ]
        if self.trainings_diverged:
            lines.append(
                f"  diverged    {plural(self.trainings_diverged, 'training')} ended in NaN, infinity or numbers too"
                " large to send; what came of them was discarded"
            )
        lines += [
            f"  cut         {partition(cut)} {'began' if cut.start_s >= self.virtual_s else 'healed'} after the end of"
            " the run: more --rounds show it"
            for cut in self.scenario.partitions
            if cut.end_s > self.virtual_s
        ]
        lines += [f"  FAILED      {failure}" for failure in self.failures]
        verb = "replay" if self.failures else "again"
        return "\n".join([*lines, f"  {verb + ':':11s} {command(self.scenario)}"])


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
            f" after {swarm.loop.now:.0f} s: {_shortened([peer.name for peer in behind])}"
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


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)


def _shortened(found: Sequence[str]) -> str:
    shown = ", ".join(found[:8])
    return shown if len(found) <= 8 else f"{shown} and {len(found) - 8} more"


def _size(count: int) -> str:
    return f"{count / 1024:,.1f} KB" if count < 1 << 20 else f"{count / (1 << 20):,.1f} MB"
