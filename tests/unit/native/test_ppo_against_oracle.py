"""Whole iterations of PPO, from the seeds to the parameters, against the same in NumPy."""

import dataclasses

import numpy as np
import pytest

from peer.native import PpoSettings, make_ppo_agent
from tests.unit.native.ppo_oracle import OracleLearner

ITERATIONS = 3

USUAL = PpoSettings(
    hidden=(9, 7),
    init_policy_gain=1.0,
    epochs=3,
    clip_schedule="linear",
    entropy_coef=0.01,
    learning_rate=1e-2,
    lr_schedule="linear",
    schedule_env_steps=2500,
    normalize_observations=True,
    normalize_rewards=True,
    seed=3,
    local_seed=5,
    threads=2,
    device="cpu",
)


@pytest.mark.parametrize("backend", ["fused", "libtorch"])
@pytest.mark.parametrize(
    ("env", "changes"),
    [
        ("CartPole-v1", {"num_envs": 7, "rollout_steps": 60, "minibatch_size": 105}),
        (
            "CartPole-v1",
            {"num_envs": 1, "rollout_steps": 64, "minibatch_size": 16, "value_clip_range": 0.0, "target_kl": 0.003}
            | {"normalize_observations": False, "normalize_rewards": False},
        ),
        ("Pendulum-v1", {"num_envs": 3, "rollout_steps": 300, "minibatch_size": 90}),
        (
            "MountainCarContinuous-v0",
            {"num_envs": 9, "rollout_steps": 30, "minibatch_size": 27, "reward_clip": 0.0, "observation_clip": 2.0},
        ),
        ("Acrobot-v1", {"num_envs": 5, "rollout_steps": 520, "minibatch_size": 1300, "epochs": 2}),
        (
            "MountainCar-v0",
            {"num_envs": 5, "rollout_steps": 210, "minibatch_size": 350, "normalize_advantages": False},
        ),
    ],
)
def test_parameters_become_those_of_the_oracle(env: str, changes: dict[str, object], backend: str) -> None:
    settings = dataclasses.replace(USUAL, backend=backend, **changes)  # type: ignore[arg-type]  # of any field
    agent = make_ppo_agent(env, settings)
    start = agent.get_params()
    oracle = OracleLearner(env, settings, start)
    for _ in range(ITERATIONS):
        agent.train(1, 60.0)
        oracle.train_once()
    moved = np.abs(oracle.params - start).max()
    assert moved > 0.03
    assert np.abs(agent.get_params() - oracle.params).max() < 1e-3 * moved
    assert (oracle.num_terminated > 0) == (env == "CartPole-v1")
    assert (oracle.num_truncated > 0) == (env in {"Pendulum-v1", "Acrobot-v1", "MountainCar-v0"})
    assert oracle.stopped_early == (settings.target_kl > 0)
