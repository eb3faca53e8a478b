"""The user guide's way to load a model into PyTorch gives the policy that was trained."""

import re
from pathlib import Path

import gymnasium
import torch

from peer.config.load import load_config
from peer.native import known_envs
from peer.solo.train import TrainOptions, train_solo

GUIDE = Path(__file__).resolve().parents[2] / "docs/user-guide.md"


def test_actor_loaded_as_the_guide_says_solves_what_it_was_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    config = load_config([], {}, [], known_envs=known_envs())
    train_solo(config, TrainOptions(max_env_steps=None, eval_env_steps=None, model_file=path, plot=None))
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), flags=re.DOTALL)
    loaded: dict[str, torch.nn.Module] = {}
    exec(code.replace('"model.safetensors"', repr(str(path))), loaded)  # our own page
    returns = [_play(loaded["actor"], seed) for seed in range(5)]
    assert sum(returns) / len(returns) >= 475.0, returns


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
