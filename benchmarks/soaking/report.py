"""The picture and the verdict of a soak."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.soaking.samples import Sample, of_peer, peers_in
from benchmarks.soaking.trend import FLAT_PER_HOUR, peaks, trend

WARM_UP = 1 / 2
"""Part of the run that is not judged: caches fill, and tables of newcomers reach their bounds."""

DISK_WARM_UP = 1 / 4
"""The same of the disk: the journal is full after eight minutes."""

_JUDGED = (
    # field, title, least change in an hour that is looked at
    ("rss_mib", "RSS, MiB", 1.0),
    ("descriptors", "file descriptors", 1.0),
    ("threads", "threads", 1.0),
    ("disk_mib", "disk, MiB", 0.1),
    ("sealed_per_min", "sealed rounds a minute", 0.5),
)
PEAK_H = 1 / 12
"""Disk is judged by the most within so long (h): the journal is halved whenever it is full, here every four minutes."""

_DRAWN = (*_JUDGED, ("deltas_per_round", "deltas in a round", 0.0))
_TOGETHER = 0.5
"""Deltas in a round of a peer that is never harmed, in the median, as a part of all peers: less is no swarm."""

_COLOURS = ("#1f5fa8", "#e08a2c", "#9bb8d6", "#b9c9a3", "#c9a3b9", "#b0b0b0")


def report(samples: Sequence[Sample], *, steady: Sequence[str]) -> tuple[str, bool]:
    """Return the table of the peers that lived through the run, and whether all of it is flat."""
    end = max(sample.hours for sample in samples)
    heading = [
        f"after the first {WARM_UP * end * 60:.0f} min (disk: {DISK_WARM_UP * end * 60:.0f}); slope by Theil-Sen with "
        f"the interval of 95 % of its resamples; flat: below {FLAT_PER_HOUR:.0%} of the median an hour, or below the "
        "least change told",
        f"  {'':<24}{'peer':<12}{'median':>9}{'first':>9}{'last':>9}   change an hour",
    ]
    rows = [_growth(of_peer(samples, peer), peer, *quantity) for quantity in _JUDGED for peer in steady]
    peers = len(peers_in(samples))
    company = [_company(of_peer(samples, peer), peer, peers=peers) for peer in steady]
    lines, verdicts = zip(*rows, *company, strict=True)
    return "\n".join([*heading, *lines]), all(verdicts)


def _growth(samples: Sequence[Sample], peer: str, field: str, title: str, least: float) -> tuple[str, bool]:
    """Return the row of one quantity of one peer, and whether it is flat."""
    is_disk = field == "disk_mib"
    begin = samples[-1].hours * (DISK_WARM_UP if is_disk else WARM_UP)
    judged = [sample for sample in samples if sample.hours >= begin]
    hours, values = [sample.hours for sample in judged], [float(getattr(sample, field)) for sample in judged]
    if is_disk:
        title = f"{title}, at most"
        hours, values = peaks(hours, values, span=PEAK_H)
    found = trend(hours, values)
    is_flat = found.is_flat(least=least)
    tenth = max(len(values) // 10, 1)
    first, last = statistics.median(values[:tenth]), statistics.median(values[-tenth:])
    slope = f"{found.per_hour:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    verdict = f"flat (least: {least:g})" if is_flat else "NOT FLAT"
    return f"  {title:<24}{peer:<12}{found.median:9.2f}{first:9.2f}{last:9.2f}   {slope}, {verdict}", is_flat


def _company(samples: Sequence[Sample], peer: str, *, peers: int) -> tuple[str, bool]:
    """Return the lines about one peer in the swarm, and whether it trained together with most of the others."""
    deltas = statistics.median(each.deltas_per_round for each in samples if not math.isnan(each.deltas_per_round))
    is_together = deltas >= _TOGETHER * peers
    warning = "" if is_together else ": NOT TOGETHER, so the rest says little about a swarm"
    wall_s = (samples[-1].hours - samples[0].hours) * 3600
    cpu = (samples[-1].cpu_s - samples[0].cpu_s) / wall_s
    return (
        f"  deltas in a round, {peer}: {deltas:.1f} in the median of {peers}{warning}\n"
        f"  CPU of {peer}: {cpu:.1%} of a core"
    ), is_together


def draw(path: Path, samples: Sequence[Sample], *, steady: Sequence[str], faults: Sequence[float]) -> None:
    """Write one panel for each quantity, over hours; the peers that were harmed are drawn thin."""
    from matplotlib.figure import Figure  # without pyplot: no window system is looked for

    figure = Figure(figsize=(9, 13), dpi=110, layout="constrained")
    panels = figure.subplots(len(_DRAWN), 1, sharex=True)
    for axes, (field, title, _) in zip(panels, _DRAWN, strict=True):
        for colour, peer in zip(_COLOURS * len(samples), peers_in(samples)[::-1], strict=False):
            own = of_peer(samples, peer)
            for life in sorted({sample.life for sample in own}):
                one = [sample for sample in own if sample.life == life]
                hours, values = [sample.hours for sample in one], [float(getattr(sample, field)) for sample in one]
                if field == "sealed_per_min":
                    values = _smooth(values)
                label = peer if life == own[0].life and field == "rss_mib" else None
                axes.plot(
                    hours,
                    values,
                    color=colour,
                    linewidth=1.6 if peer in steady else 0.7,
                    zorder=3 if peer in steady else 2,
                    label=label,
                )
        axes.set(ylabel=title, ylim=(0, None))
        axes.grid(alpha=0.25)
        axes.margins(x=0.01)
    panels[0].legend(frameon=False, ncols=3, fontsize=8)
    panels[-1].plot(faults, [0.0] * len(faults), "|", color="#555555", markersize=9, label="faults and returns")
    panels[-1].legend(frameon=False, fontsize=8)
    panels[-1].set(xlabel="hours")
    figure.suptitle("Soak: two peers that live through it (thick), the others are killed, stopped, paused and return")
    figure.savefig(path)


def _smooth(values: Sequence[float], *, width: int = 6) -> list[float]:
    """Return running means over a minute: a round takes longer than a fifth of a sample."""
    return [statistics.fmean(values[max(i - width + 1, 0) : i + 1]) for i in range(len(values))]
