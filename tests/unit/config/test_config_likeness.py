"""Which name is meant by one that does not exist."""

import pytest

from peer.config.likeness import nearest, surely_meant
from peer.config.sources import dotted_keys

PPO = [key.removeprefix("ppo.") for key in dotted_keys() if key.startswith("ppo.")]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lr", "learning_rate"),
        ("LR", "learning_rate"),
        ("gae", "gae_lambda"),
        ("lambda", "gae_lambda"),
        ("clip", "clip_range"),
        ("ent_coef", "entropy_coef"),
        ("vf_coef", "value_coef"),
        ("n_envs", "num_envs"),
        ("n_epochs", "epochs"),
        ("steps", "rollout_steps"),
        ("grad_norm", "max_grad_norm"),
        ("batch_size", "minibatch_size"),
        ("clip_coef", "clip_range"),
        ("clip_range_vf", "value_clip_range"),
        ("clip_epsilon", "clip_range"),
        ("eps_clip", "clip_range"),
        ("clip_reward", "reward_clip"),
        ("grad_clip", "max_grad_norm"),
        ("kl_coeff", "kl_penalty"),
        ("num_sgd_iter", "epochs"),
        ("anneal_lr", "lr_schedule"),
        ("num_steps", "rollout_steps"),
        ("learnign_rate", "learning_rate"),
        ("s", None),
        ("discount", None),
    ],
)
def test_a_word_or_an_abbreviation_finds_its_key(typed: str, meant: str | None) -> None:
    assert nearest(typed, PPO) == meant


def test_a_gpu_is_no_cpu() -> None:
    assert nearest("gpu", ["auto", "cpu", "cuda"]) == "cuda"
    assert nearest("gpu", ["cpu"]) == "cpu"


@pytest.mark.parametrize(
    ("typed", "meant"), [("lr", "learning_rate"), ("learningrate", "learning_rate"), ("rate", None)]
)
def test_far_away_a_word_in_common_is_not_enough(typed: str, meant: str | None) -> None:
    assert surely_meant(typed, PPO) == meant
