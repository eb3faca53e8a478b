"""Make environments that are written in Python known to the core."""

import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from peer.native import register_python_env
from peer.python_envs.names import imports_foreign_module
from peer.python_envs.printing import printing_to_stderr

if TYPE_CHECKING:
    from peer.python_envs.python_env import PythonEnv

_REGISTERING = threading.Lock()
_registered: "dict[str, PythonEnv]" = {}


def register_env(name: str, *, vectorized: bool = False) -> "PythonEnv":
    """Have the core know the environment `name`, such as "gymnasium:LunarLander-v3" or "my_package:Grid-v0".

    vectorized: step all of a batch in one call, by what is registered for that (vector_entry_point). One that can be
    stepped in no other way is stepped so in any case.

    Modules are looked for in the working directory, too, after all other places; but none that only Gymnasium asks for,
    as the name may come from a file that came with them. Registering a name again does nothing.
    Raises: ValueError saying why there is none, or why nothing can be trained in it.
    """
    with _REGISTERING:
        if name not in _registered:
            _registered[name] = _register(name, vectorized=vectorized)
        elif vectorized and not _registered[name].steps_together:
            raise ValueError("this process steps it one by one already")
        return _registered[name]


def _register(name: str, *, vectorized: bool) -> "PythonEnv":
    if imports_foreign_module(name):
        _search_working_directory()
    from peer.python_envs.arrays import StepArrays  # load Gymnasium, which the core's own environments do without
    from peer.python_envs.batch import EnvBatch
    from peer.python_envs.python_env import find_python_env
    from peer.python_envs.vector_batch import VectorBatch

    with printing_to_stderr:
        found = find_python_env(name, vectorized=vectorized)
    batch = VectorBatch if found.steps_together else EnvBatch
    register_python_env(
        name=name,
        obs_dim=found.observation_dim,
        num_actions=found.actions.num_choices,
        action_low=found.actions.low.tolist(),
        action_high=found.actions.high.tolist(),
        max_episode_steps=found.max_episode_steps,
        params=[
            (each.name, float(each.default), each.low, each.high, each.meaning) for each in found.parameters.values()
        ],
        batch_type=lambda *arrays: batch(found, StepArrays(*arrays)),
    )
    return found


def _search_working_directory() -> None:
    with contextlib.suppress(FileNotFoundError):  # it was removed
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)
