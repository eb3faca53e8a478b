"""A stop takes effect between two steps of an environment; what is the user's to interrupt stays the user's."""

import signal
import threading
from collections.abc import Callable

import numpy as np
import pytest

from peer.errors import EnvFailedError, EnvStoppedError
from peer.native import VectorEnv, make_ppo_agent
from peer.python_envs.registration import register_env
from peer.python_envs.stopping import keeping_signal_handlers, stoppable
from tests.unit.python_envs.sample_envs import name
from tests.unit.python_envs.test_python_vector_env import settings


def raised_in_a_thread(work: Callable[[], object]) -> list[BaseException]:
    raised: list[BaseException] = []

    def catch() -> None:
        try:
            work()
        except BaseException as error:  # that is the result
            raised.append(error)

    thread = threading.Thread(target=catch)
    thread.start()
    thread.join()
    return raised


def stepping(env: str, asked: Callable[[], bool]) -> Callable[[], object]:
    register_env(name(env))
    envs = VectorEnv(name(env), 2, 0)

    def step() -> None:
        with stoppable(asked):
            envs.step(np.zeros((2, 1), np.float32))

    return step


def test_stop_is_asked_for_before_each_step_of_each_environment() -> None:
    answers = [False, True]
    with pytest.raises(EnvStoppedError):
        stepping("Corridor-v0", lambda: answers.pop(0))()
    assert not answers
    stepping("Corridor-v0", lambda: False)()


def test_stop_that_comes_in_a_later_iteration_leaves_the_learner_where_the_last_one_ended() -> None:
    register_env(name("Corridor-v0"))
    stopped, bounded = (make_ppo_agent(name("Corridor-v0"), settings()) for _ in range(2))
    asked = iter([False] * (2 * 64 + 70))  # resets ask, too
    with stoppable(lambda: next(asked, True)):
        assert stopped.train(10_000, 60.0).env_steps == stopped.env_steps
    bounded.train(stopped.env_steps, 60.0)
    assert 0 < stopped.env_steps <= 3 * 64
    assert np.array_equal(stopped.get_params(), bounded.get_params())
    for kept, wanted in zip(stopped.moments(), bounded.moments(), strict=True):
        assert np.array_equal(kept, wanted)


def test_failure_soon_after_which_a_stop_is_asked_for_is_that_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches a simulator's own process, too, and may end it before we hear of it."""
    monkeypatch.setattr("peer.python_envs.stopping._SIGNAL_S", 60.0)  # however busy the machine
    asked = iter([False] * 3)  # before the step, and twice after it has failed
    (raised,) = raised_in_a_thread(stepping("Interrupted-v0", lambda: next(asked, True)))
    assert isinstance(raised, EnvStoppedError)


def test_interrupt_that_an_environment_raises_by_itself_is_its_failure() -> None:
    (raised,) = raised_in_a_thread(stepping("Interrupted-v0", lambda: False))
    assert isinstance(raised, EnvFailedError)
    assert "Interrupted-v0 failed in step(0): KeyboardInterrupt" in str(raised)


def test_interrupt_in_the_main_thread_is_the_users() -> None:
    """Signals come there alone: this is what Python makes of Ctrl-C in a program that uses our environments."""
    with pytest.raises(KeyboardInterrupt):
        stepping("Interrupted-v0", lambda: False)()


def test_signal_handlers_that_a_module_installs_do_not_stay() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with keeping_signal_handlers():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not raised_in_a_thread(keeping_signal_handlers().__enter__), "elsewhere nobody can change them"
