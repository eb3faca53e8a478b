"""What the guide shows works as it says, as far as it needs no package that this project does not."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from peer.native import PpoSettings, VectorEnv, make_ppo_agent
from peer.python_envs.registration import register_env

GUIDE = Path(__file__).parents[3] / "docs/python-environments.md"
MODULES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL))


def write(module: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{module}.py").write_text(MODULES[module])
    monkeypatch.syspath_prepend(folder)


@pytest.mark.parametrize(("module", "env"), [("my_envs", "Grid-v0"), ("my_batch", "Grids-v0")])
def test_a_corridor_of_the_guide_is_learned(
    module: str, env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(module, tmp_path, monkeypatch)
    name = f"{module}:{env}"
    register_env(name)
    envs = VectorEnv(name, 3, 0)
    walks = [envs.step(np.ones((3, 1), np.float32)) for _ in range(5)]
    assert walks[-1][2].tolist() == [1, 1, 1]
    assert walks[-1][5].tolist() == pytest.approx([0.96] * 3)
    agent = make_ppo_agent(
        name, PpoSettings(hidden=(8,), num_envs=4, rollout_steps=32, minibatch_size=32, device="cpu")
    )
    agent.train(20_000, 60.0)
    assert agent.evaluate(5, 1) == pytest.approx(0.96)


class Spec:
    """What EnvPool tells of a task; of Gymnasium's."""

    def __init__(self, task: str) -> None:
        env: Any = gym.make_vec(task, 1)
        self.gymnasium_observation_space = env.single_observation_space
        self.gymnasium_action_space = env.single_action_space


class Pool:
    """What EnvPool makes; of Gymnasium's."""

    def __init__(self, task: str, *, num_envs: int, max_episode_steps: int, seed: int) -> None:
        self.seed = seed
        self.envs: Any = gym.make_vec(task, num_envs, "vector_entry_point", max_episode_steps=max_episode_steps)
        self.step = self.envs.step

    def reset(self) -> Any:
        return self.envs.reset(seed=self.seed)


def test_the_pool_of_the_guide_hands_on_what_its_library_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("envpool")
    vars(library).update(make_spec=Spec, make_gymnasium=Pool)
    monkeypatch.setitem(sys.modules, "envpool", library)
    write("pool", tmp_path, monkeypatch)
    register_env("pool:Pool/CartPole-v1")
    envs = VectorEnv("pool:Pool/CartPole-v1", 2, 0)
    ended = sum(int(envs.step(np.ones((2, 1), np.float32))[2].sum()) for _ in range(40))
    assert ended > 4
