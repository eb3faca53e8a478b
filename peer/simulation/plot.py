"""Draw a run as PNG. Imports matplotlib, which is the optional extra `plot`."""

import itertools
import math
import statistics
import textwrap
from collections import Counter
from pathlib import Path

from peer.simulation.arguments import partition
from peer.simulation.result import Result
from peer.solo.plot import save_figure
from peer.telemetry.plain_text import plural

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#e08a2c", "#7a7a7a"
_TITLE_WIDTH = 110


def draw_run(path: Path, result: Result) -> None:
    """Write pace, deltas, finality and learning by round, one below the other. Raises: StorageError."""
    from matplotlib.figure import Figure  # without pyplot: no window system is looked for

    chain = result.chain
    rounds = [sealed.number for sealed in chain]
    figure = Figure(figsize=(8, 8.5), dpi=110, layout="constrained")
    pace, deltas, finality, learning = figure.subplots(4, 1, sharex=True)

    gaps = [after.first_s - before.first_s for before, after in itertools.pairwise(chain)]
    pace.plot(rounds[1:], gaps, color=_BLUE, linewidth=1.4)
    pace.set(ylabel="seconds\nbetween seals", ylim=(0, None))

    deltas.plot(rounds, [sealed.admitted for sealed in chain], color=_BLUE, linewidth=1.4)
    deltas.axhline(result.scenario.peers, color=_GREY, linestyle="--", linewidth=1, label="peers")
    deltas.set(ylabel="deltas\nadmitted", ylim=(0, None))
    if result.scenario.peers > 4 * max((sealed.admitted for sealed in chain), default=1):
        deltas.lines[-1].remove()  # the line of all peers would flatten the rest

    final = [sealed for sealed in chain if sealed.finality_s]
    median = [statistics.median(sealed.finality_s) for sealed in final]
    worst = [max(sealed.finality_s) for sealed in final]
    finality.plot([sealed.number for sealed in final], worst, color=_ORANGE, linewidth=1.2, label="last peer")
    finality.plot([sealed.number for sealed in final], median, color=_BLUE, linewidth=1.6, label="median peer")
    finality.set(ylabel="seconds from\nseal to final", ylim=(0, None))
    finality.legend(frameon=False, ncols=2)

    known = [(sealed.number, sealed.greedy_return) for sealed in chain if not math.isnan(sealed.greedy_return)]
    learning.plot([number for number, _ in known], [value for _, value in known], color=_BLUE, linewidth=1.6)
    learning.set(ylabel="return of the\ncommon model", xlabel="round")

    for axes in (pace, deltas, finality, learning):
        axes.grid(alpha=0.25)
        axes.margins(x=0.02)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(_title(result), fontsize=10)
    save_figure(path, figure)


def _title(result: Result) -> str:
    scenario = result.scenario
    parts = [
        f"{plural(scenario.peers, 'peer')} ({scenario.agent})",
        f"{scenario.loss * 100:g}% loss",
        f"{scenario.latency_s * 1000:g} ms",
    ]
    if scenario.churn:
        parts.append(f"churn {scenario.churn:g}/min")
    parts.append(f"seed {scenario.seed}")
    liars = Counter(kind for _, kind in scenario.attackers)
    trouble = [f"{count} of {scenario.peers} lie: {kind}" for kind, count in liars.items()]
    trouble += [f"cut {partition(cut)}" for cut in scenario.partitions]
    lines = [", ".join(parts), *textwrap.wrap("; ".join(trouble), _TITLE_WIDTH)]
    return "\n".join(lines) + f"\n{plural(result.divergent_rounds, 'divergent round')}, {plural(result.forks, 'fork')}"
