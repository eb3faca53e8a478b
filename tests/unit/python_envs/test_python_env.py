"""Environments that nobody uses now are kept for the next who asks, and not without end."""

import pytest

from peer.python_envs import python_env
from peer.python_envs.python_env import find_python_env
from tests.unit.python_envs.sample_envs import name


def test_an_environment_of_the_same_parameters_is_used_again() -> None:
    kind = find_python_env(name("Corridor-v0"))
    first, other = kind.take(()), kind.take((("length", 3.0),))
    assert first is not other
    kind.idle.give_back((), first)
    kind.idle.give_back((("length", 3.0),), other)
    assert kind.take((("length", 3.0),)) is other
    assert kind.take(()) is first
    assert kind.take(()) not in (first, other)


def test_the_one_that_was_longest_of_no_use_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = find_python_env(name("Corridor-v0"))
    kind.take(())
    oldest, *others = [kind.take(()) for _ in range(python_env._MAX_IDLE + 1)]
    closed: list[str] = []
    monkeypatch.setattr(oldest, "close", lambda: closed.append("the oldest"))
    monkeypatch.setattr(others[0], "close", lambda: closed.append("another"))
    for env in (oldest, *others):
        kind.idle.give_back((), env)
    assert closed == ["the oldest"]
    assert oldest not in [kind.take(()) for _ in others]
