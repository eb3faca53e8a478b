"""The learning curve as a file that grows: one JSON object an evaluation, for plots and for whoever watches."""

import json
import math
from dataclasses import asdict
from pathlib import Path

from peer.solo.run import Point
from peer.storage.failures import check_writable_file, describe, storage_errors

CURVE_FILE = "curve.jsonl"


def point_values(point: Point) -> dict[str, float | None]:
    """Return all figures of a point on one level; one that is not known is null."""
    values = asdict(point)
    values |= values.pop("updates")
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


class CurveFile:
    """Written line by line. A disk that fails later ends the file and not the training.

    failure: what ended it; empty: nothing did.
    """

    def __init__(self, path: Path | None) -> None:
        """path: None: no file is written. Raises: StorageError when it cannot be."""
        self.path = path
        self.failure = ""
        if path is not None:
            check_writable_file("write the learning curve", path)
            with storage_errors("write the learning curve", path):
                path.write_text("")

    def add(self, point: Point) -> None:
        if self.path is None or self.failure:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(point_values(point), allow_nan=False) + "\n")
        except OSError as error:
            self.failure = describe("write on in", self.path, error)
