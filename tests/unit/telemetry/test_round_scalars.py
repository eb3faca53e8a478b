"""What of a peer's rounds becomes a point for TensorBoard, and when."""

import math

import pytest

from peer.telemetry.round_events import RoundTrained, TasksTrained
from peer.telemetry.round_scalars import RoundScalars
from peer.telemetry.scalar_tags import LossWeights, TagMeans, settings_text, update_scalars
from tests.unit.telemetry.samples import round_sealed

WEIGHTS = LossWeights(entropy_coef=0.1, value_coef=0.5, kl_penalty=0.0)


def trained(
    number: int,
    *,
    env_steps: int = 100,
    train_s: float = 2.0,
    waited_s: float = 0.0,
    episodes: int = 1,
    mean_return: float = 10.0,
    policy_loss: float = 1.0,
    std: float = math.nan,
) -> RoundTrained:
    return RoundTrained(
        round=number,
        env_steps=env_steps,
        train_s=train_s,
        waited_s=waited_s,
        episodes=episodes,
        mean_return=mean_return,
        mean_length=7.0,
        policy_loss=policy_loss,
        value_loss=3.0,
        entropy=0.5,
        approx_kl=0.01,
        clip_fraction=0.2,
        base_kl=0.0,
        explained_variance=0.9,
        learning_rate=3e-4,
        std=std,
    )


def seal(scalars: RoundScalars, number: int, **changes: object) -> bool:
    return scalars.seal(round_sealed(round=number, **changes), {}) is not None


def test_a_round_becomes_a_point_with_what_the_run_and_this_peer_came_to() -> None:
    scalars = RoundScalars(WEIGHTS)
    scalars.observe(trained(41, waited_s=0.25, std=0.7))
    scalars.observe(TasksTrained(round=41, tasks=("heavy", "light"), episodes=(2, 3), mean_returns=(1.0, 2.0)))
    point = scalars.seal(round_sealed(), {"swarm/rounds_not_final": 1, "network/sent_bytes": 50_000})
    assert point is not None
    assert point.step == 168_400
    assert point.scalars == pytest.approx(
        {
            "swarm/round": 41,
            "swarm/return": 312.4,
            "swarm/admitted": 5,
            "swarm/roster": 5,
            "swarm/seal_s": 0.3,
            "swarm/rounds_not_final": 1,
            "network/delta_bytes": 11_200,
            "network/sent_bytes": 50_000,
            "rollout/ep_rew_mean": 10.0,
            "rollout/ep_len_mean": 7.0,
            "variants/heavy": 1.0,
            "variants/light": 2.0,
            "time/fps": 50.0,
            "time/waited_s": 0.25,
            "train/loss": 1.0 - 0.1 * 0.5 + 0.5 * 3.0,
            "train/policy_gradient_loss": 1.0,
            "train/value_loss": 6.0,
            "train/entropy_loss": -0.5,
            "train/approx_kl": 0.01,
            "train/clip_fraction": 0.2,
            "train/explained_variance": 0.9,
            "train/learning_rate": 3e-4,
            "train/std": 0.7,
        }
    )


def test_what_is_not_known_has_no_point() -> None:
    scalars = RoundScalars(WEIGHTS)
    scalars.observe(trained(1, episodes=0, mean_return=math.nan))
    point = scalars.seal(round_sealed(round=1, mean_return=math.nan), {})
    assert point is not None
    assert not {"swarm/return", "rollout/ep_rew_mean", "train/std"} & set(point.scalars)


def test_the_points_of_weeks_are_few_and_no_round_is_left_out_of_their_means() -> None:
    scalars, shown, sums = RoundScalars(WEIGHTS), list[int](), 0.0
    for number in range(1, 20_001):
        point = scalars.seal(round_sealed(round=number, env_steps=10 * number, mean_return=float(number % 7)), {})
        if point is not None:
            rounds = number - (shown[-1] if shown else 0)
            sums += rounds * point.scalars["swarm/return"]
            shown.append(number)
    assert shown[:1000] == list(range(1, 1001))
    assert 1000 * math.log(20) < len(shown) < 1000 * (2 + math.log(20))
    left = sum(number % 7 for number in range(shown[-1] + 1, 20_001))
    assert sums + left == pytest.approx(sum(number % 7 for number in range(1, 20_001)))


def test_means_weigh_what_each_round_stands_for() -> None:
    scalars = RoundScalars(WEIGHTS)
    assert seal(scalars, 2000)
    scalars.observe(trained(2001, episodes=1, mean_return=0.0, env_steps=300, policy_loss=1.0))
    assert not seal(scalars, 2001)
    scalars.observe(trained(2002, episodes=3, mean_return=8.0, env_steps=100, policy_loss=5.0))
    point = scalars.seal(round_sealed(round=2002), {})
    assert point is not None
    assert point.scalars["rollout/ep_rew_mean"] == pytest.approx(6.0)
    assert point.scalars["train/policy_gradient_loss"] == pytest.approx(2.0)


def test_another_chain_that_is_behind_is_shown_at_once() -> None:
    scalars = RoundScalars(WEIGHTS)
    assert seal(scalars, 100_000)
    assert not seal(scalars, 100_001)
    assert seal(scalars, 300)
    assert seal(scalars, 301)


def test_the_end_shows_what_no_point_had_yet() -> None:
    scalars = RoundScalars(WEIGHTS)
    assert scalars.rest() is None
    assert seal(scalars, 5000)
    assert scalars.rest() is None
    assert not seal(scalars, 5001, env_steps=7)
    rest = scalars.rest()
    assert rest is not None
    assert (rest.step, rest.scalars["swarm/round"]) == (7, 5001)


def test_the_loss_has_the_penalty_where_there_is_one() -> None:
    figures = trained(1)
    assert "train/base_kl" not in update_scalars(figures, WEIGHTS)
    weights = LossWeights(entropy_coef=0.0, value_coef=0.0, kl_penalty=2.0)
    assert update_scalars(figures, weights)["train/base_kl"] == 0.0


def test_means_leave_out_what_is_no_number_or_weighs_nothing() -> None:
    means = TagMeans()
    means.add("a", math.nan)
    means.add("a", math.inf)
    means.add("a", 3.0, weight=0)
    assert means.take() == {}


def test_settings_are_shown_as_they_are_typed() -> None:
    text = settings_text({"run": {"name": "a", "seed": 1}, "ppo": {"gamma": 0.99, "target_kl": None}})
    assert text == '    run.name="a"\n    run.seed=1\n    ppo.gamma=0.99\n    ppo.target_kl=null'
