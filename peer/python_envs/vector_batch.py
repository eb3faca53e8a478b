"""Environments that somebody steps all at once: Gymnasium's `VectorEnv`s, one for each set of parameters.

Lengths and returns of episodes are the core's business (bindings/python_vector_env.hpp), but not their seeds: such an
object takes one seed, for all of its environments, and draws what follows by itself.
"""

from collections import defaultdict
from collections.abc import Mapping

from peer.python_envs.arrays import StepArrays
from peer.python_envs.failures import FAILURES, failed
from peer.python_envs.printing import printing_to_stderr
from peer.python_envs.python_env import Params, PythonEnv
from peer.python_envs.stopping import require_not_stopped
from peer.python_envs.vector_rows import VectorRows

_MAX_SEED = 2**31 - 1
"""Of those that the core draws."""


class VectorBatch:
    """N environments that work on the core's arrays."""

    restarts_itself = True
    """The core says when the first episodes begin."""

    def __init__(self, kind: PythonEnv, arrays: StepArrays) -> None:
        self._kind = kind
        self._arrays = arrays
        self._params: list[Params] = []
        self._seeds: dict[int, int] = {}
        self._last_seeds: dict[Params, int] = {}
        self._parts: dict[Params, VectorRows] = {}

    def build(self, index: int, params: Mapping[str, float]) -> None:
        """Want environment `index`, which is known or the next one, to be of these parameters."""
        self._params[index : index + 1] = [tuple(params.items())]

    def reset(self, index: int, seed: int) -> None:
        """Want environment `index` to begin an episode."""
        self._seeds[index] = seed

    def settle(self) -> list[int]:
        """Make and restart what is wanted. Return the environments that began anew, ascending.

        One that restarts does so with all of its object. Raises: EnvFailedError.
        """
        wanted: dict[Params, list[int]] = defaultdict(list)
        for row, params in enumerate(self._params):
            wanted[params].append(row)
        with printing_to_stderr:
            self._leave([params for params, part in self._parts.items() if part.rows != wanted.get(params)])
            restarted = [row for params, rows in wanted.items() for row in self._restarted(params, rows)]
        self._seeds.clear()
        return sorted(restarted)

    def step(self) -> None:
        """Move every environment on by its action. Raises: EnvFailedError."""
        with printing_to_stderr:
            for part in self._parts.values():
                require_not_stopped()
                try:
                    part.step()
                except FAILURES as error:
                    raise failed(self._kind.name, f"a step of {len(part.rows)} environments", error) from error

    def close(self) -> None:
        """Leave the environments to who needs some next."""
        with printing_to_stderr:
            self._leave(list(self._parts))

    def _restarted(self, params: Params, rows: list[int]) -> list[int]:
        if params in self._parts and self._seeds.keys().isdisjoint(rows):
            return []
        if params not in self._parts:
            env = self._kind.take_batch(params, len(rows))
            self._parts[params] = VectorRows(self._kind, env, self._arrays, rows)
        seed = self._last_seeds[params] = self._seed_for(params, rows)
        try:
            self._parts[params].reset(seed)
        except FAILURES as error:
            raise failed(self._kind.name, f"reset(seed={seed})", error) from error
        return rows

    def _seed_for(self, params: Params, rows: list[int]) -> int:
        """Return the first new seed among `rows`; where some have left and none came, the one after the last."""
        new = next((self._seeds[row] for row in rows if row in self._seeds), None)
        return (self._last_seeds[params] + 1) & _MAX_SEED if new is None else new

    def _leave(self, leaving: list[Params]) -> None:
        for params in leaving:
            part = self._parts.pop(params)
            self._kind.idle.give_back((params, len(part.rows)), part.env)
