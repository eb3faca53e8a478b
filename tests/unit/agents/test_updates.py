"""Figures of updates over chunks of any length."""

import math

import pytest

from peer.agents.updates import UpdateMeans
from peer.types import UpdateStats


def test_means_weigh_chunks_by_their_updates_and_begin_anew_when_taken() -> None:
    means = UpdateMeans()
    means.add(UpdateStats(policy_loss=1.0, explained_variance=0.1, learning_rate=3e-4), env_steps=300)
    means.add(UpdateStats(policy_loss=5.0, explained_variance=0.9, learning_rate=2e-4), env_steps=100)
    taken = means.take()
    assert taken.policy_loss == pytest.approx(2.0)
    assert (taken.explained_variance, taken.learning_rate) == (0.9, 2e-4)
    assert math.isnan(means.take().policy_loss)
    means.add(UpdateStats(policy_loss=7.0), env_steps=100)
    assert means.take().policy_loss == 7.0


def test_nothing_is_known_before_the_first_update() -> None:
    assert all(math.isnan(getattr(UpdateMeans().take(), name)) for name in UpdateStats.__dataclass_fields__)
