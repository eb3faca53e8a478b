"""Environments are closed when nobody needs them any more: those in use, those kept, and those that were refused."""

import pytest

from peer.native import VectorEnv
from peer.python_envs.open_envs import close_all
from peer.python_envs.registration import register_env
from tests.unit.python_envs.sample_envs import Corridor, name


@pytest.fixture(autouse=True)
def nothing_left_open() -> None:
    kind = register_env(name("Corridor-v0"))  # makes one, the first time
    close_all()
    kind.idle.clear()  # closed, too
    Corridor.closed = 0


def test_those_in_use_and_those_that_are_kept_are_closed_once() -> None:
    env = name("Corridor-v0")
    register_env(env)
    in_use, kept = VectorEnv(env, 3, 0), VectorEnv(env, 2, 0)
    del kept
    close_all()
    assert Corridor.closed >= 5
    before = Corridor.closed
    close_all()
    assert Corridor.closed == before
    assert in_use.num_envs == 3


@pytest.mark.parametrize("env", ["Endless-v0", "Wide-v0"])
def test_one_that_nothing_can_be_trained_in_is_closed_at_once(env: str) -> None:
    with pytest.raises(ValueError, match=r"time limit|observations must be"):
        register_env(name(env))
    assert Corridor.closed == 1


@pytest.mark.parametrize("error", [RuntimeError("the door is stuck"), SystemExit(3)])
def test_one_that_cannot_be_closed_keeps_nobody_open(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    kind = register_env(name("Corridor-v0"))
    bad, good = kind.take((("length", 7.0),)), kind.take((("length", 8.0),))

    def fail() -> None:
        raise error

    monkeypatch.setattr(bad, "close", fail)
    close_all()
    assert Corridor.closed == 1
    assert good is not bad
