"""The networks that all rivals train: separate critic and actor of 2 x 64 tanh, initialised as CleanRL does."""

import math

import torch
from torch import nn


def critic_and_actor(obs_dim: int, outputs: int) -> tuple[nn.Sequential, nn.Sequential]:
    return _mlp(obs_dim, 1, last_std=1.0), _mlp(obs_dim, outputs, last_std=0.01)


def _mlp(inputs: int, outputs: int, *, last_std: float) -> nn.Sequential:
    return nn.Sequential(
        _layer(inputs, 64, std=math.sqrt(2)),
        nn.Tanh(),
        _layer(64, 64, std=math.sqrt(2)),
        nn.Tanh(),
        _layer(64, outputs, std=last_std),
    )


def _layer(inputs: int, outputs: int, *, std: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, 0.0)
    return layer
