"""The genesis parameters, derived again in plain Python from their definition: equal bit for bit.

Python floats are IEEE doubles and Python never fuses a multiply with an add, so this is what every CPU must give.
"""

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest

from peer.native import PpoSettings, env_spec, make_ppo_agent
from tests.unit.native.random_streams import pcg32

INIT_STREAM = 0x696E6974


def dot(a: list[float], b: list[float]) -> float:
    total = 0.0
    for x, y in zip(a, b, strict=True):
        total += x * y
    return total


def orthonormal(count: int, length: int, rng: Iterator[int]) -> list[list[float]]:
    basis: list[list[float]] = []
    for _ in range(count):
        v = [(sum(next(rng) for _ in range(12)) - 6 * 2**32) / 2**32 for _ in range(length)]
        for _ in range(2):
            for b in basis:
                overlap = dot(v, b)
                v = [x - overlap * y for x, y in zip(v, b, strict=True)]
        norm = math.sqrt(dot(v, v))
        basis.append([x / norm for x in v])
    return basis


def layer(outputs: int, inputs: int, gain: float, rng: Iterator[int]) -> list[float]:
    basis = orthonormal(min(outputs, inputs), max(outputs, inputs), rng)
    wide = outputs < inputs
    weights = [gain * (basis[r][c] if wide else basis[c][r]) for r in range(outputs) for c in range(inputs)]
    return weights + [0.0] * outputs


@pytest.mark.parametrize(("env", "seed"), [("CartPole-v1", 1), ("Pendulum-v1", 2**63 + 5)])
def test_genesis_parameters_are_what_the_definition_says(env: str, seed: int) -> None:
    spec = env_spec(env)
    heads = spec.num_actions if spec.discrete else spec.action_dim
    rng = pcg32(seed, INIT_STREAM)
    expected: list[float] = []
    for outputs, head_gain, extra in ((heads, 0.01, 0 if spec.discrete else heads), (1, 1.0, 0)):
        sizes = [spec.obs_dim, 16, 9, outputs]
        for i, (inputs, units) in enumerate(itertools.pairwise(sizes)):
            expected += layer(units, inputs, head_gain if i == 2 else math.sqrt(2.0), rng)
        expected += [0.0] * extra  # log_std

    agent = make_ppo_agent(env, PpoSettings(hidden=(16, 9), seed=seed))
    assert agent.get_params().tobytes() == np.array(expected).astype(np.float32).tobytes()
