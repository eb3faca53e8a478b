"""Draw the comparison: one panel a scenario, one bar a contestant, on a logarithmic scale."""

from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.rivals.contestants import OURS
from benchmarks.rivals.results import ScenarioResult, short

_OURS, _THEIRS = "#1f5fa8", "#9aa3ad"


def draw(path: Path, results: list[ScenarioResult], *, footer: str) -> None:
    """Write a PNG. Bars are medians, whiskers the extremes; beside each stands how many times as fast ours is."""
    rows = [len(result.rows) for result in results]
    figure = Figure(figsize=(10, 0.8 + sum(0.28 * count + 0.6 for count in rows)), dpi=120, layout="constrained")
    panels = figure.subplots(len(results), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": rows})
    fastest = max(row.wall.max for result in results for row in result.rows)
    slowest = min(row.wall.min for result in results for row in result.rows)
    for panel, result in zip(panels[:, 0], results, strict=True):
        names = [row.name for row in result.rows]
        medians = [row.wall.median for row in result.rows]
        below = [row.wall.median - row.wall.min for row in result.rows]
        above = [row.wall.max - row.wall.median for row in result.rows]
        colours = [_OURS if name.startswith(OURS) else _THEIRS for name in names]
        panel.barh(names, medians, xerr=[below, above], color=colours, ecolor="#333333", capsize=2, height=0.7)
        for place, row in enumerate(result.rows):
            ratio = "" if row.ratio is None or row.name == OURS else f"   (ours: {row.ratio:,.1f} times)"
            panel.text(row.wall.max * 1.08, place, f"{short(row.wall.median)}{ratio}", va="center", fontsize=8)
        panel.invert_yaxis()
        panel.set_xscale("log")
        panel.set_xlim(slowest / 2, fastest * 8)
        panel.set_title(result.scenario.title, loc="left", fontsize=10, fontweight="bold")
        panel.tick_params(labelsize=8)
        panel.grid(axis="x", alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("PPO end to end, env steps/s (logarithmic)")
    figure.supxlabel(footer, fontsize=7, color="#555555")
    figure.savefig(path)
