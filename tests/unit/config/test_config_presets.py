"""Every preset in configs/ loads, holds only what differs from config.yaml, and makes a learner."""

from pathlib import Path

import pytest

from peer.config.load import load_config
from peer.config.schema import Config
from peer.known_envs import KnownEnvs
from peer.native import PpoSettings, env_names, make_ppo_agent

CONFIGS = Path(__file__).parents[3] / "configs"
BASE = CONFIGS / "config.yaml"
PRESETS = sorted(path for path in CONFIGS.glob("*.yaml") if path != BASE)


OF_PYTHON = {"gymnasium:HalfCheetah-v5": "Pendulum-v1"}
"""Environments of presets that need a package which this project does not, and one of the core's in place of each."""


def load(path: Path) -> Config:
    named = load_config([BASE, path], {}, []).env.name
    stand_in = OF_PYTHON.get(named, named)
    return load_config([BASE, path], {}, [f"env.name={stand_in}"], known_envs=KnownEnvs())


def test_every_environment_has_a_preset() -> None:
    named = {load_config([BASE, path], {}, []).env.name for path in [BASE, *PRESETS]}
    assert named == {*env_names(), *OF_PYTHON}


def test_presets_have_runs_of_their_own() -> None:
    names = [load(path).run.name for path in [BASE, *PRESETS]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_preset_makes_a_learner(path: Path) -> None:
    config = load(path)
    settings = PpoSettings(
        hidden=tuple(config.model.hidden),
        activation=config.model.activation,
        num_envs=config.ppo.num_envs,
        rollout_steps=config.ppo.rollout_steps,
        epochs=config.ppo.epochs,
        minibatch_size=config.ppo.minibatch_size,
        device="cpu",
    )
    stats = make_ppo_agent(config.env.name, settings).train(1, 60.0)
    assert stats.env_steps == config.ppo.num_envs * config.ppo.rollout_steps
