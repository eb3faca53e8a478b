"""Show a run on stderr while it lasts: a live bar on a terminal, one line an evaluation elsewhere."""

import math
import sys
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as LiveProgress

from peer.solo.run import Progress


class Display(Protocol):
    """Told of every chunk and evaluation; a `with` block opens and closes it."""

    def trained(self, progress: Progress) -> None: ...
    def evaluated(self, progress: Progress) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_display(
    name: str, *, target: float | None, max_env_steps: int | None, stream: TextIO | None = None
) -> Display:
    """stream: None: stderr, as it is now."""
    stream = stream or sys.stderr
    if stream.isatty():
        return BarDisplay(name, target=target, max_env_steps=max_env_steps, stream=stream)
    return LineDisplay(name, stream=stream)


class BarDisplay:
    """A bar towards the bound on env steps; without one it only shows that something moves."""

    def __init__(self, name: str, *, target: float | None, max_env_steps: int | None, stream: TextIO) -> None:
        self._target = target
        self._live = LiveProgress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            console=Console(file=stream),
            refresh_per_second=8,
        )
        self._task = self._live.add_task(name, total=max_env_steps, text="")

    def trained(self, progress: Progress) -> None:
        self._live.update(self._task, completed=progress.env_steps, text=self._text(progress))

    evaluated = trained

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _text(self, progress: Progress) -> str:
        wanted = "" if self._target is None else f" of {self._target:g}"
        greedy = progress.curve[-1].greedy_return if progress.curve else math.nan
        return (
            f"{progress.env_steps:,} env steps | {progress.steps_per_s:,.0f} steps/s"
            f" | training return {_number(progress.train_return)} | greedy {_number(greedy)}{wanted} |"
        )


class LineDisplay:
    """For logs and pipes: what was evaluated, when, and how fast it came to that."""

    def __init__(self, name: str, *, stream: TextIO) -> None:
        self._name = name
        self._stream = stream

    def trained(self, progress: Progress) -> None:
        pass

    def evaluated(self, progress: Progress) -> None:
        point = progress.curve[-1]
        self._stream.write(
            f"{self._name} | {point.env_steps:,} env steps | greedy return {point.greedy_return:.1f}"
            f" | training return {_number(point.train_return)} | {progress.steps_per_s:,.0f} steps/s\n"
        )
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"  # no episode has ended yet
