"""The learning curve as a file that grows: one JSON object an evaluation, for plots and for whoever watches."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from peer.solo.run import Point
from peer.storage.atomic_file import write_atomic
from peer.storage_failures import describe

CURVE_FILE = "curve.jsonl"

_MAX_LINE_BYTES = 65_536


def point_values(point: Point) -> dict[str, float | None]:
    """Return all figures of a point on one level; one that is not known is null."""
    values = asdict(point)
    values |= values.pop("updates")
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


class CurveFile:
    """Written line by line. A disk that fails later ends the file and not the training.

    failure: what ended it; empty: nothing did.
    """

    def __init__(self, path: Path | None, points: Sequence[Point] = ()) -> None:
        """path: None: no file is written. points: those before. Raises: StorageError when it cannot be."""
        self.path = path
        self.failure = ""
        if path is not None:
            write_atomic(path, "".join(map(_line, points)).encode())

    def add(self, point: Point) -> None:
        if self.path is None or self.failure:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(point))
        except OSError as error:
            self.failure = describe("write on in", self.path, error)


def is_curve(path: Path) -> bool:
    """Tell whether a file begins as a learning curve does, or is empty, as one is before the first evaluation.

    Because a run's state names it, no other is written on.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(_MAX_LINE_BYTES)
        if not line:
            return True
        first = json.loads(line)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and "greedy_return" in first


def _line(point: Point) -> str:
    return json.dumps(point_values(point), allow_nan=False) + "\n"
