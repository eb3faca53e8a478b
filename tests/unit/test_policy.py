"""The policy in NumPy chooses as the core does, for every environment and network."""

import math
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from peer.config.load import load_config
from peer.errors import StorageError
from peer.evaluation import evaluate_file
from peer.known_envs import KnownEnvs
from peer.native import VectorEnv, env_names, env_spec
from peer.policy import Policy, load_policy
from peer.solo.options import TrainOptions
from peer.solo.train import train_solo
from peer.storage.model_file import load_model, save_model

EPISODES, SEED = 8, 5

NETWORKS = {
    "tanh": (),
    "relu, one layer": ("model.activation=relu", "model.hidden=[16]"),
    "silu, shared, normalised": ("model.activation=silu", "model.shared_trunk=true", "ppo.normalize_observations=true"),
    "normalised, unclipped": ("ppo.normalize_observations=true", "ppo.observation_clip=0"),
    "normalised, tightly clipped": ("ppo.normalize_observations=true", "ppo.observation_clip=0.5"),
}


def trained(folder: Path, *overrides: str) -> Path:
    path = folder / "model.safetensors"
    small = ["model.hidden=[16,8]", "compute.device=cpu", "stop.mean_return=null", "stop.episodes=1"]
    config = load_config([], {}, [*small, *overrides], known_envs=KnownEnvs())
    train_solo(config, TrainOptions(max_env_steps=2048, eval_env_steps=2048, model_file=path))
    return path


def returns_of(policy: Policy, env_name: str) -> list[float]:
    """Play the episodes that the core evaluates a model in."""
    env = VectorEnv(env_name, EPISODES, seed=SEED)
    observations, returns = env.observe(), [float("nan")] * EPISODES
    while any(np.isnan(returns)):
        actions = policy.act(observations).astype(np.float32).reshape(EPISODES, -1)
        observations, _, terminated, truncated, _, totals, _ = env.step(actions)
        for i in np.flatnonzero(terminated | truncated):
            returns[i] = totals[i] if np.isnan(returns[i]) else returns[i]
    return returns


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("env_name", ["CartPole-v1", "Pendulum-v1"])
def test_every_network_plays_as_in_the_core(tmp_path: Path, env_name: str, network: str) -> None:
    path = trained(tmp_path, f"env.name={env_name}", *NETWORKS[network])
    expected = evaluate_file(path, episodes=EPISODES, seed=SEED, device="cpu").returns
    assert returns_of(load_policy(path), env_name) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("env_name", env_names())
def test_actions_of_every_environment_are_in_its_action_space(tmp_path: Path, env_name: str) -> None:
    policy, spec = load_policy(trained(tmp_path, f"env.name={env_name}")), env_spec(env_name)
    observations = np.random.default_rng(1).normal(size=(64, spec.obs_dim)) * 100.0
    actions = policy.act(observations)
    if spec.discrete:
        assert actions.shape == (64,)
        assert set(actions.tolist()) <= set(range(spec.num_actions))
    else:
        assert actions.shape == (64, spec.action_dim)
        assert ((spec.action_low <= actions) & (actions <= spec.action_high)).all()
    assert policy.act(observations[3]).tolist() == pytest.approx(actions[3].tolist())


def test_a_policy_can_be_given_to_workers_of_multiprocessing(tmp_path: Path) -> None:
    policy = load_policy(trained(tmp_path, "env.name=Pendulum-v1", *NETWORKS["normalised, tightly clipped"]))
    again: Policy = pickle.loads(pickle.dumps(policy))
    observations = np.random.default_rng(1).normal(size=(64, policy.env.obs_dim))
    assert again.act(observations).tolist() == policy.act(observations).tolist()
    assert again.env.name == "Pendulum-v1"
    assert again.log_std.tolist() == policy.log_std.tolist()


def test_statistics_beyond_float32_leave_a_policy_that_acts(tmp_path: Path) -> None:
    path = trained(tmp_path, *NETWORKS["normalised, unclipped"])
    file = load_model(path)
    file.state.moments.mean[:] = 1e99
    del file.settings["model_hash"]
    save_model(path, file)
    assert np.isfinite(load_policy(path).outputs(np.zeros(4))).all()


@pytest.mark.parametrize("env_name", ["gymnasium:CartPole-v1", "gymnasium:Pendulum-v1"])
def test_a_policy_of_an_environment_in_python_needs_no_gymnasium(tmp_path: Path, env_name: str) -> None:
    path = trained(tmp_path, f"env.name={env_name}")
    expected = evaluate_file(path, episodes=EPISODES, seed=SEED, device="cpu").returns
    policy = load_policy(path)
    assert returns_of(policy, env_name) == pytest.approx(expected, rel=1e-2)
    program = f"""
import sys
from peer.policy import load_policy
policy = load_policy({str(path)!r})
print(policy.act([0.1] * policy.env.obs_dim), policy.env.name, policy.env.action_high, "gymnasium" in sys.modules)
"""
    alone = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    said = f"{policy.act([0.1] * policy.env.obs_dim)} {env_name} {policy.env.action_high} False"
    assert alone.stdout.strip() == said


@pytest.mark.parametrize(
    "told",
    [
        {"observation_dim": "x"},
        {"num_actions": "-1"},
        {"num_actions": "0"},
        {"action_low": "1"},
        {"num_actions": "0", "action_low": "nan,0", "action_high": "1,1"},
        {"num_actions": "0", "action_low": "1,1", "action_high": "0,0"},
    ],
)
def test_description_of_an_environment_in_python_that_makes_no_sense_is_refused(
    tmp_path: Path, told: dict[str, str]
) -> None:
    path = trained(tmp_path, "env.name=gymnasium:CartPole-v1")
    file = load_model(path)
    file.settings.update(told)
    save_model(path, file)
    with pytest.raises(StorageError, match="does not fit its own description"):
        load_policy(path)


def test_observations_of_another_shape_are_refused(tmp_path: Path) -> None:
    policy = load_policy(trained(tmp_path))
    for shape in ((3,), (2, 5), (1, 2, 4), ()):
        with pytest.raises(ValueError, match=r"observations of CartPole-v1 have shape \(4,\) or \(N, 4\), got"):
            policy.act(np.zeros(shape))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_observations_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    policy = load_policy(trained(tmp_path))
    observations = np.zeros((3, 4))
    observations[1, 2] = value
    with pytest.raises(ValueError, match=f"observations of CartPole-v1 must be finite, got {value}"):
        policy.act(observations)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"env": "Acrobot-v1"}, r"does not fit its own description: expected moments of 6 observations"),
        ({"env": "Nothing-v1"}, r"does not fit its own description: unknown env"),
        ({"hidden": "4096,4096"}, r"does not fit its own description: an actor of \[4, 4096, 4096, 2\]"),
        ({"hidden": "0"}, r"does not fit its own description: a critic of \[4, 0, 1\]"),
        ({"hidden": "4"}, r"does not fit its own description: a critic of \[4, 4, 1\] units has 25 parameters"),
        ({"shared_trunk": "true"}, r"does not fit its own description: a critic of \[8, 1\]"),
        ({"activation": "gelu"}, r"does not fit its own description: .*gelu"),
        ({"model_hash": "00" * 32}, r"says that it is 000000000000"),
    ],
)
def test_file_that_contradicts_itself_is_refused(tmp_path: Path, told: dict[str, str], message: str) -> None:
    path = trained(tmp_path)
    file = load_model(path)
    file.settings.update(told)
    save_model(path, file)
    with pytest.raises(StorageError, match=message):
        load_policy(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """Any action would be chosen by them, always the first one."""
    path = trained(tmp_path)
    file = load_model(path)
    del file.settings["model_hash"]
    save_model(path, replace(file, state=replace(file.state, params=file.state.params * np.float32("nan"))))
    with pytest.raises(StorageError, match="does not fit its own description: parameters are not finite"):
        load_policy(path)
