"""The only door to the C++ core: environments, PPO settings and the PPO learner, typed.

Importing it loads no libtorch, which the first agent does that computes with it (docs/adr/0067), and never imports
Python's torch.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from peer._core import (
    MAX_PYTHON_ENVS,
    EnvSpec,
    EnvVariant,
    NonFiniteError,
    ParamSpec,
    PpoAgent,
    PpoConfig,
    StepArrays,
    VectorEnv,
    check_values,
    decode_float16,
    decode_int4,
    decode_int8,
    decode_top_k,
    encode_float16,
    encode_int4,
    encode_int8,
    encode_top_k,
    env_names,
    env_spec,
    register_python_env,
)
from peer._core import Aggregation as AggregationKernels
from peer._core import BlobError as CheckpointError
from peer._core import TrainStats as PpoTrainStats
from peer.types import Moments, Vector64

__all__ = [
    "MAX_PYTHON_ENVS",
    "AggregationKernels",
    "CheckpointError",
    "EnvSpec",
    "EnvVariant",
    "NativeCodecKernels",
    "NonFiniteError",
    "ParamSpec",
    "PpoAgent",
    "PpoConfig",
    "PpoSettings",
    "PpoTrainStats",
    "StepArrays",
    "VectorEnv",
    "env_names",
    "env_spec",
    "make_ppo_agent",
    "register_python_env",
    "to_moments",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PpoSettings:
    """Every setting of one learner; meanings, units and ranges are those of murmur/agents/ppo_config.hpp.

    seed: of the initial parameters, equal on all peers of a run. local_seed: of episodes, actions and minibatches,
    each peer's own. The core checks the ranges and raises ValueError naming the field.
    """

    hidden: tuple[int, ...] = (64, 64)
    activation: str = "tanh"
    shared_trunk: bool = False
    init_hidden_gain: float = math.sqrt(2.0)
    init_policy_gain: float = 0.01
    init_value_gain: float = 1.0
    init_log_std: float = 0.0
    num_envs: int = 8
    rollout_steps: int = 128
    epochs: int = 4
    minibatch_size: int = 256
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    clip_schedule: str = "constant"
    value_clip_range: float = 0.2
    entropy_coef: float = 0.0
    value_coef: float = 0.5
    max_grad_norm: float = 0.5
    learning_rate: float = 2.5e-4
    lr_schedule: str = "constant"
    schedule_env_steps: int = 1_000_000
    target_kl: float = 0.0
    kl_penalty: float = 0.0
    normalize_observations: bool = False
    observation_clip: float = 10.0
    normalize_rewards: bool = False
    reward_clip: float = 10.0
    normalize_advantages: bool = True
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-5
    seed: int = 1
    local_seed: int = 1
    threads: int = 1
    cpus: tuple[int, ...] = ()
    device: str = "auto"
    backend: str = "auto"


def make_ppo_agent(env_name: str, settings: PpoSettings) -> PpoAgent:
    """Build a learner. Raises: ValueError naming the field, or the nearest env name; TypeError on a wrong type."""
    config = PpoConfig()
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        setattr(config, field.name, list(value) if isinstance(value, tuple) else value)
    return PpoAgent(env_name, config)


def to_moments(arrays: tuple[Vector64, Vector64, Vector64]) -> Moments:
    """Wrap the core's (count, mean, m2)."""
    count, mean, m2 = arrays
    return Moments(count=np.asarray(count), mean=np.asarray(mean), m2=np.asarray(m2))


class NativeCodecKernels:
    """The inner loops of the codecs in the core, at the speed of memory and with the GIL released.

    See `peer.codec.kernels.CodecKernels`.
    """

    check_values = staticmethod(check_values)
    encode_float16 = staticmethod(encode_float16)
    decode_float16 = staticmethod(decode_float16)
    encode_int8 = staticmethod(encode_int8)
    decode_int8 = staticmethod(decode_int8)
    encode_int4 = staticmethod(encode_int4)
    decode_int4 = staticmethod(decode_int4)
    encode_top_k = staticmethod(encode_top_k)
    decode_top_k = staticmethod(decode_top_k)
