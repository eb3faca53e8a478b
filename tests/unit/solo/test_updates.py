"""Figures of updates over chunks of any length."""

import math
from dataclasses import dataclass
from typing import cast

import pytest

from peer.native import PpoTrainStats
from peer.solo.updates import UpdateMeans, UpdateStats


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Stands for the core's TrainStats, which Python cannot make."""

    env_steps: int
    policy_loss: float
    value_loss: float = 0.0
    entropy: float = 0.0
    approx_kl: float = 0.0
    clip_fraction: float = 0.0
    explained_variance: float = 0.0
    learning_rate: float = 0.0


def test_means_weigh_chunks_by_their_updates_and_begin_anew_when_taken() -> None:
    means = UpdateMeans()
    means.add(cast(PpoTrainStats, Chunk(env_steps=300, policy_loss=1.0, explained_variance=0.1, learning_rate=3e-4)))
    means.add(cast(PpoTrainStats, Chunk(env_steps=100, policy_loss=5.0, explained_variance=0.9, learning_rate=2e-4)))
    taken = means.take()
    assert taken.policy_loss == pytest.approx(2.0)
    assert (taken.explained_variance, taken.learning_rate) == (0.9, 2e-4)
    assert math.isnan(means.take().policy_loss)
    means.add(cast(PpoTrainStats, Chunk(env_steps=100, policy_loss=7.0)))
    assert means.take().policy_loss == 7.0


def test_nothing_is_known_before_the_first_update() -> None:
    assert all(math.isnan(getattr(UpdateMeans().take(), name)) for name in UpdateStats.__dataclass_fields__)
