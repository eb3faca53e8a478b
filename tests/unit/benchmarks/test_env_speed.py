"""Which contenders step an environment."""

import gymnasium
import pytest

from benchmarks.env_speed import contenders


def test_an_environment_of_our_own_has_no_rivals(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "gymnasium" in contenders("CartPole-v1", 4, threads=1)
    monkeypatch.delitem(gymnasium.registry, "CartPole-v1")  # as for one that was added here
    found = contenders("CartPole-v1", 4, threads=1)
    assert {"native", "native/new", "gym-api"} == set(found) - {"envpool"}
