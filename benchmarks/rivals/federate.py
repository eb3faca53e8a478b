"""What the members of a rival's federation have in common: their options, their work, and what they say on stdout."""

import argparse
import hashlib
import json
import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """index: of this member; -1 is a server. address: of the server or of the first member, "" for that one itself."""

    index: int
    members: int
    params: int
    work_s: float
    address: str


def read_options() -> Options:
    parser = argparse.ArgumentParser()
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--members", type=int, required=True)
    parser.add_argument("--params", type=int, required=True)
    parser.add_argument("--work-s", type=float, required=True)
    parser.add_argument("--address", default="")
    given = parser.parse_args()
    return Options(
        index=given.index, members=given.members, params=given.params, work_s=given.work_s, address=given.address
    )


class Worker:
    """In the place of training: rests for the time it would take, and moves the parameters at random."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._rng = np.random.default_rng(options.index)
        self._round = 0

    def work(self) -> npt.NDArray[np.float32]:
        """Return a change of the parameters, float32[P]."""
        time.sleep(self._options.work_s)
        return self._rng.standard_normal(self._options.params, dtype=np.float32) * np.float32(1e-3)

    def tell(self, params: npt.NDArray[np.float32]) -> None:
        """Say that this member has the model of another round now."""
        self._round += 1
        say(round=self._round, model=hashlib.sha256(params.tobytes()).hexdigest()[:16])


def say(**words: object) -> None:
    print(json.dumps(words), flush=True)
