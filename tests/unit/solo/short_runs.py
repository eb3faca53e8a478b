"""Short runs of `murmur train` in this process: begun, gone on with, and what they have left on disk."""

from pathlib import Path

from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.sources import Base
from peer.known_envs import KnownEnvs
from peer.solo.options import TrainOptions
from peer.solo.resumption import resume_at
from peer.solo.run_state import load_run_state, state_file
from peer.solo.summary import Summary
from peer.solo.train import go_on

_SMALL = ("ppo.num_envs=4", "ppo.rollout_steps=16", "ppo.minibatch_size=32", "model.hidden=[8]", "ppo.epochs=1")
_BOUNDED = ("stop.mean_return=null", "stop.episodes=2", "compute.device=cpu")
_AS_BEFORE = TrainOptions()
WHOLE = TrainOptions(max_env_steps=1280, eval_env_steps=256)
"""A run of five evaluations."""


def small(*overrides: str, base: Base | None = None) -> Config:
    """Return the settings of a run that takes a moment; with `base` those of that run, but for the overrides."""
    given = [*overrides] if base is not None else [*_SMALL, *_BOUNDED, *overrides]
    return load_config([], {}, given, base=base, known_envs=KnownEnvs())


def resume(
    model_file: Path, *overrides: str, told: list[str] | None = None, options: TrainOptions = _AS_BEFORE
) -> Summary:
    """Go on with the run of this model. told: takes what the user is told."""
    found = resume_at(model_file, lambda base: small(*overrides, base=base))
    return go_on(found, options, tell=(told if told is not None else []).append)


def learned(path: Path) -> tuple[bytes, bytes]:
    """Return the bytes of the model, and those of the learner beside it."""
    return path.read_bytes(), load_run_state(state_file(path)).learner
