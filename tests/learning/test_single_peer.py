"""One learner solves its environment: seeded, limited by env steps, never by the clock."""

import math
from dataclasses import replace

from peer.native import PpoAgent, PpoSettings, make_ppo_agent

CARTPOLE = PpoSettings(
    num_envs=16,
    rollout_steps=32,
    epochs=10,
    minibatch_size=128,
    gamma=0.98,
    gae_lambda=0.8,
    learning_rate=1e-3,
    value_clip_range=0.0,
    device="cpu",
)


def best_return(agent: PpoAgent, *, env_steps: int, every: int, target: float) -> float:
    """Train until a greedy evaluation reaches `target` or the steps are spent; return the best one."""
    best = -math.inf
    while agent.env_steps < env_steps and best < target:
        agent.train(every, math.inf)
        best = max(best, agent.evaluate(20, 1_000_000))
    return best


def test_cartpole_is_solved_within_the_steps_the_zoo_takes() -> None:
    agent = make_ppo_agent("CartPole-v1", replace(CARTPOLE, seed=1, local_seed=1))
    assert agent.evaluate(20, 1_000_000) < 200  # the first policy knows nothing
    assert best_return(agent, env_steps=100_000, every=4096, target=475.0) >= 475.0


def test_cartpole_stays_solved_when_training_goes_on() -> None:
    agent = make_ppo_agent("CartPole-v1", replace(CARTPOLE, seed=2, local_seed=2))
    agent.train(40_000, math.inf)
    scores = []
    for _ in range(5):
        agent.train(4096, math.inf)
        scores.append(agent.evaluate(20, 1_000_000))
    assert min(scores) >= 400.0


def test_pendulum_is_swung_up() -> None:
    settings = PpoSettings(
        activation="relu",
        num_envs=16,
        rollout_steps=128,
        epochs=10,
        minibatch_size=128,
        gamma=0.9,
        learning_rate=5e-4,
        value_clip_range=0.0,
        normalize_rewards=True,
        device="cpu",
    )
    agent = make_ppo_agent("Pendulum-v1", settings)
    assert agent.evaluate(20, 1_000_000) < -800
    assert best_return(agent, env_steps=100_000, every=4096, target=-200.0) >= -200.0


def test_the_same_seed_learns_the_same_bytes() -> None:
    runs = []
    for threads in (1, 2):
        agent = make_ppo_agent("CartPole-v1", replace(CARTPOLE, seed=4, local_seed=9, threads=threads))
        agent.train(4096, math.inf)
        runs.append(agent.save())
    assert runs[0] == runs[1]
