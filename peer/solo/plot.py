"""Draw a learning curve. The only place that imports matplotlib, which is the optional extra `plot`."""

import importlib.util
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from peer.solo.run import Point
from peer.storage.atomic_file import write_atomic
from peer.storage_failures import check_writable_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREEDY, _TRAINING, _TARGET = "#1f5fa8", "#e08a2c", "#7a7a7a"


def check_plot(path: Path) -> None:
    """Find out before hours of training whether the plot can be written after them.

    Raises: ValueError when `path` is no PNG file or matplotlib is missing; StorageError naming what is in the way.
    """
    if path.suffix.lower() != ".png":
        raise ValueError(f"--plot expects a file that ends in .png, got {str(path)!r}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ValueError("--plot needs matplotlib, which is not installed: pip install matplotlib")
    check_writable_file("write the plot", path)


def draw_curve(path: Path, curve: Sequence[Point], *, title: str, target: float | None) -> None:
    """Write the greedy and the training return over env steps as PNG. Raises: StorageError."""
    from matplotlib.figure import Figure  # without pyplot: no window system is looked for

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    steps = [point.env_steps for point in curve]
    trained = [point for point in curve if not math.isnan(point.train_return)]
    if target is not None:
        axes.axhline(target, color=_TARGET, linestyle="--", linewidth=1, label=f"target {target:g}")
    axes.plot(
        [point.env_steps for point in trained],
        [point.train_return for point in trained],
        color=_TRAINING,
        linewidth=1.2,
        zorder=3,  # over the other: where both are at the top, both are seen
        label="training episodes",
    )
    axes.plot(
        steps,
        [point.greedy_return for point in curve],
        color=_GREEDY,
        marker="o",
        markersize=3.5,
        linewidth=2.2,
        label="greedy policy",
    )
    axes.set(title=title, xlabel="env steps", ylabel="mean return")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save_figure(path, figure)


def save_figure(path: Path, figure: "Figure") -> None:
    """Write a PNG; a failure leaves what was at `path`. Raises: StorageError."""
    png = io.BytesIO()
    figure.savefig(png, format="png")
    write_atomic(path, png.getvalue())
