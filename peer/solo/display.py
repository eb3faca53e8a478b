"""Show a run on stderr while it lasts: a live bar on a terminal, one line an evaluation elsewhere."""

import math
import os
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as LiveProgress

from peer.solo.run import Progress
from peer.telemetry.spare_stream import spare_stderr
from peer.types import Seconds

_WIDEST_BAR, _NARROWEST_BAR = 24, 4
_PLAIN_TERMINALS = ("dumb", "unknown")
"""On which rich draws a bar only when all is over."""

_FRAME = 12
"""Columns that spinner, time and the spaces between the parts take."""


class Display(Protocol):
    """Told of every chunk and evaluation, and what else to show; a `with` block opens and closes it."""

    def trained(self, progress: Progress) -> None: ...
    def evaluated(self, progress: Progress) -> None: ...
    def say(self, text: str) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def make_display(
    name: str,
    *,
    target: float | None,
    max_env_steps: int | None,
    before_s: Seconds = 0.0,
    stream: TextIO | None = None,
) -> Display:
    """before_s: what the run had taken when it ended earlier. stream: None: stderr, as it is now.

    That the stream cannot be written ends nothing.
    """
    stream = spare_stderr(stream)
    if stream.isatty() and os.environ.get("TERM", "").lower() not in _PLAIN_TERMINALS:
        return BarDisplay(name, target=target, max_env_steps=max_env_steps, before_s=before_s, stream=stream)
    return LineDisplay(name, stream=stream)


class BarDisplay:
    """A bar towards the bound on env steps; without one it only shows that something moves.

    Always one line: on a narrow terminal the bar shrinks, then goes; then the least important numbers go.
    """

    def __init__(
        self, name: str, *, target: float | None, max_env_steps: int | None, before_s: Seconds, stream: TextIO
    ) -> None:
        self._name = name
        self._target = target
        self._console = Console(file=stream)
        self._bar = BarColumn(bar_width=_WIDEST_BAR)
        self._live = LiveProgress(
            SpinnerColumn(),
            TextColumn("[bold]{task.description}"),
            self._bar,
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            console=self._console,
            refresh_per_second=8,
        )
        self._columns = self._live.columns
        self._text_width = 0
        self._task = self._live.add_task(name, total=max_env_steps, text="")
        task = self._live.tasks[0]
        task.start_time = (task.start_time or 0.0) - before_s

    def trained(self, progress: Progress) -> None:
        room = self._console.width - len(self._name) - _FRAME
        text = _fitting(self._parts(progress), room)
        self._text_width = max(self._text_width, len(text))  # so that what stands behind it does not jump
        text = text.ljust(min(self._text_width, room))
        self._bar.bar_width = min(_WIDEST_BAR, room - len(text) - 1)
        shown = self._bar.bar_width >= _NARROWEST_BAR
        self._live.columns = tuple(column for column in self._columns if shown or column is not self._bar)
        self._live.update(self._task, completed=progress.env_steps, text=text)

    evaluated = trained

    def say(self, text: str) -> None:
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _parts(self, progress: Progress) -> list[str]:
        """Return what there is to say, the most important first."""
        wanted = "" if self._target is None else f" of {self._target:g}"
        greedy = progress.curve[-1].greedy_return if progress.curve else math.nan
        return [
            f"greedy {_number(greedy)}{wanted}",
            f"{_short(progress.env_steps)} steps",
            f"{_short(progress.steps_per_s)}/s",
            f"train {_number(progress.train_return)}",
        ]


class LineDisplay:
    """For logs and pipes: what was evaluated, when, and how fast it came to that."""

    def __init__(self, name: str, *, stream: TextIO) -> None:
        self._name = name
        self._stream = stream

    def trained(self, progress: Progress) -> None:
        pass

    def evaluated(self, progress: Progress) -> None:
        point = progress.curve[-1]
        self.say(
            f"{self._name} | {point.env_steps:,} env steps | greedy return {point.greedy_return:.1f}"
            f" | training return {_number(point.train_return)} | {progress.steps_per_s:,.0f} steps/s"
        )

    def say(self, text: str) -> None:
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"  # no episode has ended yet


def _short(value: float) -> str:
    for limit, divisor, unit in ((1e4, 1.0, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M")):
        if value < limit:
            return f"{value / divisor:,.{0 if divisor == 1 else 1}f}{unit}"
    return f"{value / 1e9:,.1f}G"


def _fitting(parts: list[str], room: int) -> str:
    """Join as many parts as there is room for, at least the first."""
    count = len(parts)
    while count > 1 and len(" | ".join(parts[:count])) > room:
        count -= 1
    return " | ".join(parts[:count])
