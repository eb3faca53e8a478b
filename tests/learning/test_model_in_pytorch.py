"""The user guide's ways to load a model, into NumPy and into PyTorch, give the policy that was trained."""

import re
from pathlib import Path

import gymnasium
import numpy as np
import numpy.typing as npt
import torch

from peer.config.load import load_config
from peer.known_envs import KnownEnvs
from peer.solo.options import TrainOptions
from peer.solo.train import train_solo

GUIDE = Path(__file__).resolve().parents[2] / "docs/user-guide.md"


def test_actor_loaded_as_the_guide_says_solves_what_it_was_trained_on(tmp_path: Path) -> None:
    loaded: dict[str, torch.nn.Module] = {}
    exec(_example("torch", _solved(tmp_path)), loaded)  # our own page
    returns = [_play(loaded["actor"], seed) for seed in range(5)]
    assert sum(returns) / len(returns) >= 475.0, returns


def test_policy_played_as_the_guide_says_lasts_to_the_time_limit(tmp_path: Path) -> None:
    code = _example("load_policy", _solved(tmp_path)).replace('render_mode="human"', "")
    played: dict[str, bool] = {}
    exec(code, played)  # our own page
    assert (played["terminated"], played["truncated"]) == (False, True)


def test_environments_step_as_the_guide_says(tmp_path: Path) -> None:
    stepped: dict[str, npt.NDArray[np.float32]] = {}
    exec(_example("NativeVectorEnv", tmp_path), stepped)  # our own page
    assert stepped["observations"].shape == (1024, 4)
    assert (stepped["returns"] >= 1.0).all()


def _solved(folder: Path) -> Path:
    path = folder / "model.safetensors"
    train_solo(load_config([], {}, [], known_envs=KnownEnvs()), TrainOptions(model_file=path))
    return path


def _example(word: str, model: Path) -> str:
    """Return the example of the guide that has `word` in it, with `model` as its file."""
    examples = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (code,) = (each for each in examples if word in each)
    return str(code).replace('"model.safetensors"', repr(str(model)))


def _play(actor: torch.nn.Module, seed: int) -> float:
    env = gymnasium.make("CartPole-v1")
    observation, _ = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        with torch.no_grad():
            action = int(actor(torch.as_tensor(observation)).argmax())
        observation, reward, terminated, truncated, _ = env.step(action)
        total, over = total + float(reward), terminated or truncated
    return total
