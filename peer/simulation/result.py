"""What a run came to: one object for programs, a few lines for people. The same seed gives the same bytes."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from peer.simulation.arguments import command, partition
from peer.simulation.judge import SealedRound
from peer.simulation.scenario import Scenario
from peer.telemetry.plain_text import plural, size
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
        excluded = shortened(self.excluded) or "nobody"
        refused = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.refused.items())) or "none"
        lines = [
            f"{plural(self.scenario.peers, 'peer')}, {self.rounds_final} of {self.scenario.rounds} rounds final"
            f" in {self.virtual_s:,.1f} s of virtual time",
            f"  agreement   {plural(self.divergent_rounds, 'divergent round')}, {plural(self.forks, 'fork')},"
            f" {plural(self.switched, 'branch switch', ending='es')}, {plural(self.snapshots, 'snapshot')} taken over",
            f"  finality    median {self.finality_median_s:.2f} s, 99th percentile {self.finality_p99_s:.2f} s"
            " after a manifest appeared",
            f"  traffic     {size(self.bytes_per_peer_per_round)} sent by each peer in a round",
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


def shortened(found: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    shown = ", ".join(found[:8])
    return shown if len(found) <= 8 else f"{shown} and {len(found) - 8} more"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)
