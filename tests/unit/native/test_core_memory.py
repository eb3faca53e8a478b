"""What other threads, forked processes and NumPy do to memory that the core uses breaks no process.

Where a mistake would end the process, a process of its own does the work.
"""

import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from peer.native import StepArrays, VectorEnv

NUM_ENVS = 8192  # enough for two shards


def run(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_agents_are_made_while_another_thread_makes_and_drops_objects_of_the_core() -> None:
    run("""
import threading, time
from peer import _core

def small():
    config = _core.PpoConfig()
    config.hidden, config.num_envs, config.rollout_steps, config.minibatch_size = [1], 1, 1, 1
    config.backend, config.device = "fused", "cpu"
    return config

def churn():
    while time.monotonic() < end:
        [_core.PpoConfig() for _ in range(3000)]

config, end = small(), time.monotonic() + 1.5
thread = threading.Thread(target=churn)
thread.start()
while time.monotonic() < end:
    [_core.PpoAgent("CartPole-v1", config) for _ in range(200)]
thread.join()
""")


def test_top_k_of_values_that_change_meanwhile_stays_in_its_memory() -> None:
    run("""
import threading, time
import numpy as np
from peer import _core

values, end = np.ones(200_000, np.float32), time.monotonic() + 1.5

def change():
    k = 0
    while time.monotonic() < end:
        k += 1
        values[:] = 1 + k % 7

thread = threading.Thread(target=change)
thread.start()
while time.monotonic() < end:
    _core.encode_top_k(values, 1000)
thread.join()
""")


@pytest.mark.parametrize("train_s", [0.5, 60.0])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("backend", ["fused", "libtorch"])
def test_a_process_ends_while_a_daemon_thread_computes(backend: str, threads: int, train_s: float) -> None:
    """The interpreter takes a second to end: within it, the thread comes back from the core, or does not. The process
    takes half a second more, after every library's globals are gone.
    """
    run(f"""
import ctypes, sys, threading, time, types

libc = ctypes.CDLL(None)
libc.__cxa_atexit(libc.usleep, ctypes.c_void_p(500_000), None)  # runs last, being the first

from peer import _core

class Last:
    def __del__(self, sleep=time.sleep):
        sleep(1.0)

sys.modules["last"] = types.ModuleType("last")
sys.modules["last"].last = Last()
config = _core.PpoConfig()
config.backend, config.device, config.threads = "{backend}", "cpu", {threads}
agent = _core.PpoAgent("CartPole-v1", config)
threading.Thread(target=lambda: agent.train(2**62, {train_s}), daemon=True).start()
time.sleep(0.2)
""")


@pytest.mark.parametrize("work", ["time.sleep(0.05)", "sum(range(100_000))"])
def test_a_process_ends_while_a_daemon_thread_trains_in_an_environment_in_python(work: str) -> None:
    """The thread is in the environment's own code, with the GIL or waiting for it, when the interpreter ends."""
    run(f"""
import threading, time
import gymnasium as gym
from peer import _core
from peer.python_envs.registration import register_env

class Slow(gym.Env):
    observation_space = gym.spaces.Box(0.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        return [0.5], {{}}
    def step(self, action):
        {work}
        return [0.5], 0.0, False, False, {{}}

gym.register("Slow-v0", Slow, max_episode_steps=10)
register_env("gymnasium:Slow-v0")
agent = _core.PpoAgent("gymnasium:Slow-v0", _core.PpoConfig())
threading.Thread(target=lambda: agent.train(2**62, 60.0), daemon=True).start()
time.sleep(0.3)
""")


def test_a_process_forked_from_one_that_computes_with_libtorch_ends() -> None:
    """No thread of its own computes, however many do in the one that it was forked from."""
    run("""
import os, signal, sys, threading, time
from peer import _core

config = _core.PpoConfig()
config.backend, config.device = "libtorch", "cpu"
config.num_envs, config.rollout_steps, config.minibatch_size = 64, 2048, 64 * 2048
agent = _core.PpoAgent("CartPole-v1", config)
threading.Thread(target=lambda: agent.train(2**62, 60.0), daemon=True).start()
time.sleep(0.2)
children = []
for _ in range(20):
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        signal.alarm(100)  # instead of hanging for ever; twenty that end at once take a while where others compute
        sys.exit(0)
    children.append(child)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
""")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_steps_inherited_envs_with_the_same_result_and_drops_them() -> None:
    env = VectorEnv("CartPole-v1", NUM_ENVS, seed=3, threads=2)
    actions = np.ones((NUM_ENVS, 1), np.float32)
    env.step(actions)  # the workers have run, and go to sleep
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(20)  # instead of hanging for ever
            observations = env.step(actions)[0]
            del env
            os.write(theirs, observations[-16:].tobytes())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        seen = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert seen == env.step(actions)[0][-16:].tobytes()


def test_arrays_of_a_step_are_resized_by_nobody_and_outlive_their_maker() -> None:
    env = VectorEnv("CartPole-v1", 4, seed=1)
    out = StepArrays(env)
    for name in ("observations", "rewards", "terminated", "final_observations", "episode_lengths"):
        with pytest.raises(ValueError, match="does not own its data"):
            getattr(out, name).resize((1024,), refcheck=False)
    env.step_into(np.ones((4, 1), np.float32), out)
    observations = out.observations
    before = observations.copy()
    del out
    fillers = [np.full((4, 4), 7, np.float32) for _ in range(100)]
    assert np.array_equal(observations, before)
    assert len(fillers) == 100


def test_arrays_that_took_on_another_state_leave_the_memory_of_steps_alone() -> None:
    env = VectorEnv("CartPole-v1", 4, seed=1)
    out = StepArrays(env)
    state: Any = np.zeros(2, np.float32).__reduce__()[2]  # typeshed: text or anything
    out.rewards.__setstate__(state)
    env.step_into(np.ones((4, 1), np.float32), out)
    assert np.array_equal(out.observations, env.observe())
    assert out.rewards.tolist() == [0, 0]


def test_objects_that_were_never_initialized_are_refused() -> None:
    run("""
import numpy as np
from peer import _core

class Early(_core.VectorEnv):
    def __init__(self):
        self.num_envs

def refused(use, *args):
    try:
        use(*args)
    except TypeError as error:
        assert "__init__" in str(error), error
    else:
        raise AssertionError(use)

classes = [cls for cls in vars(_core).values() if isinstance(cls, type) and not issubclass(cls, Exception)]
assert len(classes) >= 10
for cls in classes:
    for name, member in vars(cls).items():
        if isinstance(member, property):
            refused(getattr, cls.__new__(cls), name)
refused(Early)
refused(lambda: _core.VectorEnv.__new__(_core.VectorEnv).reset(1))
refused(lambda: _core.Aggregation.__new__(_core.Aggregation).l2_norm(np.ones(3, np.float32)))
refused(_core.StepArrays, _core.VectorEnv.__new__(_core.VectorEnv))
env = _core.VectorEnv("CartPole-v1", 1, 1)
refused(env.assign_variants, [_core.EnvVariant.__new__(_core.EnvVariant)])
refused(_core.PpoAgent, "CartPole-v1", _core.PpoConfig.__new__(_core.PpoConfig))
""")
