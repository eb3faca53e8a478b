"""`murmur train --tensorboard`: the run as figures that TensorBoard shows while it lasts."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from peer.agents.updates import UpdateMeans
from peer.errors import StorageError
from peer.native import PpoTrainStats
from peer.solo.run import Progress
from peer.storage_failures import check_writable_file, storage_errors
from peer.telemetry.event_files import (
    EventFileWriter,
    Point,
    holds_event_files,
    is_empty_folder,
    new_run_folder,
    require_tensorboardx,
)
from peer.telemetry.scalar_tags import (
    EP_LEN_MEAN,
    EP_REW_MEAN,
    FPS,
    GREEDY,
    STD,
    VARIANTS,
    LossWeights,
    TagMeans,
    update_scalars,
)
from peer.types import Seconds

_OPTION = "--tensorboard"

_LEAST_S: Seconds = 1.0
"""Between two points, but for evaluations: an iteration of a small task takes less than a millisecond."""

_GROWTH_DIVISOR = 500
"""Later points come after every 1/500 more of env steps: files stay small in runs of any length."""

_MAX_UNWRITTEN = 1000
"""Points kept while the disk refuses them; beyond it the oldest are lost."""


def begin_folder(parent: Path, run: str) -> Path:
    """Make a folder for a new run of that name. Raises: ValueError, StorageError when it cannot be written."""
    require_tensorboardx(_OPTION)
    return new_run_folder(parent, run)


def folder_to_go_on_in(folder: Path) -> Path | None:
    """Return `folder` if a run has written there, or nobody has: because its state names it, no other is written to.

    Raises: ValueError, StorageError when it cannot be gone on in.
    """
    with storage_errors("look for TensorBoard files in", folder):
        if not (holds_event_files(folder) or is_empty_folder(folder)):
            return None
    require_tensorboardx(_OPTION)
    check_writable_file("write TensorBoard files", folder / "events")
    return folder


class TensorBoardRun:
    """Gathers the figures of chunks, and writes them with each evaluation, and between two in a run that takes longer.

    A disk that fails later costs the points that do not fit into memory meanwhile, and not the training.
    folder: None: nothing is written. failure: why the last points could not be; empty: they are.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        begins_at: int,
        text: str,
        weights: LossWeights,
        turns: Sequence[Sequence[str]],
        std: Callable[[], float | None],
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        """begins_at: env steps where the run begins, or goes on. text: its settings. std: of the policy's actions.

        turns: names of the variants in each turn of the run; of a single one in all nothing is told.
        """
        self.folder = folder
        self.failure = ""
        self._writer: EventFileWriter | None = None
        if folder is not None:
            first = begins_at + 1 if begins_at else 0
            self._writer = EventFileWriter(folder, begins_at=first, texts={"settings": text})
        self._weights = weights
        self._turns = turns
        self._std = std
        self._clock = clock
        self._updates = UpdateMeans()
        self._episodes = TagMeans()
        self._env_steps, self._train_s = 0, 0.0
        self._due_at, self._due_steps = clock() + _LEAST_S, 0
        self._unwritten: list[Point] = []

    def trained(self, progress: Progress, stats: PpoTrainStats, *, turn: int) -> None:
        """Take what a chunk did. turn: how many turns of the variants have begun."""
        if self._writer is None:
            return
        self._updates.add(stats, env_steps=stats.env_steps)
        self._env_steps += stats.env_steps
        self._train_s += stats.wall_s
        self._episodes.add(EP_REW_MEAN, stats.mean_return, weight=stats.episodes)
        self._episodes.add(EP_LEN_MEAN, stats.mean_length, weight=stats.episodes)
        if len(self._turns) > 1 or len(self._turns[0]) > 1:
            for name, variant in zip(self._turns[(turn - 1) % len(self._turns)], stats.variants, strict=False):
                self._episodes.add(VARIANTS + name, variant.mean_return, weight=variant.episodes)
        if progress.env_steps >= self._due_steps and self._clock() >= self._due_at:
            self._write(progress.env_steps, {})

    def evaluated(self, progress: Progress) -> None:
        """Write the evaluation that was just made, and what was gathered before it."""
        point = progress.curve[-1]
        self._write(point.env_steps, {GREEDY: point.greedy_return})

    def close(self, progress: Progress) -> None:
        """Write what came since the last point."""
        if self._env_steps:
            self._write(progress.env_steps, {})
        if self._writer is not None:
            self._writer.close()

    def _write(self, step: int, more: Mapping[str, float]) -> None:
        if self._writer is None:
            return
        self._unwritten.append(Point(step=step, scalars={**more, **self._take()}))
        del self._unwritten[:-_MAX_UNWRITTEN]
        try:
            self._writer.write(self._unwritten)
        except StorageError as error:
            self.failure = str(error)
        else:
            self.failure = ""
            self._unwritten.clear()
        self._due_at, self._due_steps = self._clock() + _LEAST_S, step + step // _GROWTH_DIVISOR

    def _take(self) -> dict[str, float]:
        """Return what was gathered since the last point."""
        if not self._env_steps:
            return {}
        means = TagMeans()  # which leave out what is no number
        for tag, value in update_scalars(self._updates.take(), self._weights).items():
            means.add(tag, value)
        if self._train_s > 0:
            means.add(FPS, self._env_steps / self._train_s)
        if (std := self._std()) is not None:
            means.add(STD, std)
        self._env_steps, self._train_s = 0, 0.0
        return {**self._episodes.take(), **means.take()}
