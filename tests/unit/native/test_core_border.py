"""Wrong arrays, wrong settings and wrong threads are refused at the border by name; nothing is cast or crashes."""

import dataclasses
import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from peer.native import (
    AggregationKernels,
    CheckpointError,
    EnvVariant,
    NativeCodecKernels,
    NonFiniteError,
    PpoAgent,
    PpoSettings,
    StepArrays,
    VectorEnv,
    env_spec,
    make_ppo_agent,
)

SMALL = PpoSettings(hidden=(8,), num_envs=4, rollout_steps=16, minibatch_size=32)


@pytest.fixture
def agent() -> PpoAgent:
    return make_ppo_agent("CartPole-v1", SMALL)


def test_params_round_trip(agent: PpoAgent) -> None:
    params = np.linspace(-1, 1, agent.num_params, dtype=np.float32)
    agent.set_params(params)
    assert np.array_equal(agent.get_params(), params)
    agent.get_params()[:] = 7  # a copy: writing to it changes nothing
    assert np.array_equal(agent.get_params(), params)


def test_tensors_are_named_in_the_order_of_the_parameters(agent: PpoAgent) -> None:
    layers = [("actor layer 0", 4, 8), ("actor layer 1", 8, 2), ("critic layer 0", 4, 8), ("critic layer 1", 8, 1)]
    expected = [part for name, i, o in layers for part in ((f"{name} weight", i * o), (f"{name} bias", o))]
    assert agent.tensors == expected
    assert sum(size for _, size in agent.tensors) == agent.num_params


def test_params_of_another_dtype_are_not_cast(agent: PpoAgent) -> None:
    with pytest.raises(TypeError, match="params must be float32, got float64"):
        agent.set_params(np.zeros(agent.num_params))  # type: ignore[arg-type]  # the mistake under test


@pytest.mark.parametrize("shape", [(3,), (1, 66), (0,)])
def test_params_of_another_shape_are_refused(agent: PpoAgent, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="params must have shape"):
        agent.set_params(np.zeros(shape, np.float32))


def test_strided_params_are_refused(agent: PpoAgent) -> None:
    with pytest.raises(ValueError, match="C-contiguous"):
        agent.set_params(np.zeros(2 * agent.num_params, np.float32)[::2])


def misaligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a copy one byte after where such numbers may lie."""
    moved = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def test_misaligned_arrays_are_refused(agent: PpoAgent) -> None:
    floats, doubles = misaligned(np.ones(8, np.float32)), misaligned(np.ones(agent.num_moments))
    env, kernels = VectorEnv("CartPole-v1", 8, seed=1), AggregationKernels()
    with pytest.raises(ValueError, match="params must be aligned to 4 bytes"):
        agent.set_params(misaligned(agent.get_params()))
    with pytest.raises(ValueError, match="m2 must be aligned to 8 bytes"):
        agent.set_model(agent.get_params(), np.ones_like(doubles), np.ones_like(doubles), doubles)
    with pytest.raises(ValueError, match="actions must be aligned"):
        env.step(floats.reshape(8, 1))
    with pytest.raises(ValueError, match="actions must be aligned"):
        env.step_into(floats.reshape(8, 1), StepArrays(env))
    with pytest.raises(ValueError, match="state must be aligned"):
        env.set_state(0, floats[:4])
    with pytest.raises(ValueError, match="delta must be aligned"):
        kernels.weighted_sum([np.ones(8, np.float32), floats], [0.5, 0.5])
    with pytest.raises(ValueError, match="values must be aligned"):
        NativeCodecKernels.encode_int8(floats)
    with pytest.raises(ValueError, match="values must be aligned"):
        NativeCodecKernels.decode_int8(NativeCodecKernels.encode_int8(np.ones(8, np.float32)), floats)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_params_that_are_not_finite_are_refused_and_change_nothing(agent: PpoAgent, value: float) -> None:
    before = agent.get_params()
    bad = before.copy()
    bad[5] = value
    with pytest.raises(ValueError, match="params"):
        agent.set_params(bad)
    assert np.array_equal(agent.get_params(), before)


def test_negative_counts_in_moments_are_refused(agent: PpoAgent) -> None:
    zeros = np.zeros(agent.num_moments)
    with pytest.raises(ValueError, match="count"):
        agent.set_model(agent.get_params(), zeros - 1, zeros, zeros)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"gamma": 1.5}, "gamma"),
        ({"minibatch_size": 33}, "minibatch_size"),
        ({"activation": "gelu"}, "activation must be one of tanh, relu, silu"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda"),
        ({"backend": "jax"}, "backend must be one of auto, libtorch, fused"),
        ({"backend": "fused", "device": "cuda"}, "device is 'cuda', but .*docs/gpu.md"),
        ({"hidden": ()}, "hidden"),
        ({"backend": "fused", "hidden": (8, 8, 8, 8)}, "backend 'fused' cannot run this network: hidden has 4 layers"),
        ({"backend": "fused", "hidden": (8, 513)}, "a layer of 513 units is wider than 512"),
        ({"num_envs": 0}, "num_envs"),
        ({"rollout_steps": 0}, "rollout_steps"),
        ({"minibatch_size": 0}, "minibatch_size"),
        ({"lr_schedule": "cosine"}, "lr_schedule must be one of constant, linear"),
        ({"clip_schedule": "cosine"}, "clip_schedule must be one of constant, linear"),
        ({"kl_penalty": -1.0}, "kl_penalty"),
        ({"value_clip_range": 1e-46}, "value_clip_range"),
        ({"observation_clip": float("inf")}, "observation_clip"),
        ({"reward_clip": -1.0}, "reward_clip"),
        ({"init_log_std": float("nan")}, "init_log_std"),
        ({"learning_rate": float("nan")}, "learning_rate"),
    ],
)
def test_settings_out_of_range_are_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make_ppo_agent("CartPole-v1", PpoSettings(**changes))  # type: ignore[arg-type]  # wrong values on purpose


def test_params_and_moments_of_a_model_that_are_not_finite_are_refused(agent: PpoAgent) -> None:
    params, zeros = agent.get_params(), np.zeros(agent.num_moments)
    with pytest.raises(ValueError, match="params"):
        agent.set_model(np.full_like(params, np.nan), zeros, zeros, zeros)
    with pytest.raises(ValueError, match="m2"):
        agent.set_model(params, zeros + 1, zeros, np.full_like(zeros, np.inf))
    assert np.array_equal(agent.get_params(), params)


def test_a_checkpoint_of_another_version_says_which() -> None:
    data = bytearray(make_ppo_agent("CartPole-v1", SMALL).save())
    data[8] = 1  # the version follows eight bytes of magic
    with pytest.raises(CheckpointError, match="version 1"):
        make_ppo_agent("CartPole-v1", SMALL).load(bytes(data))


@pytest.mark.parametrize("change", [{"hidden": (9,)}, {"activation": "silu"}, {"shared_trunk": True}])
def test_a_checkpoint_of_another_network_is_refused(change: dict[str, object]) -> None:
    other = make_ppo_agent("CartPole-v1", dataclasses.replace(SMALL, **change))  # type: ignore[arg-type]  # any field
    with pytest.raises(CheckpointError, match="another model"):
        make_ppo_agent("CartPole-v1", SMALL).load(other.save())


def test_a_checkpoint_whose_texts_are_none_is_refused_as_a_checkpoint(agent: PpoAgent) -> None:
    data = bytearray(agent.save())
    at = data.index(b"murmur-ppo")
    data[at] = 0xFF  # no UTF-8, so that a message could not repeat it
    data[-8:] = fnv1a(bytes(data[:-8])).to_bytes(8, "little")
    with pytest.raises(CheckpointError, match="field 'schema' holds characters"):
        agent.load(bytes(data))


def fnv1a(data: bytes) -> int:
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 & (2**64 - 1)
    return digest


@pytest.mark.parametrize("backend", ["fused", "libtorch"])
def test_actions_that_are_not_finite_reach_no_env(backend: str) -> None:
    settings = dataclasses.replace(SMALL, backend=backend, device="cpu")
    agent = make_ppo_agent("Pendulum-v1", settings)
    good, bad = agent.get_params(), agent.get_params()
    start = 0
    for name, size in agent.tensors:
        if name == "log_std":
            bad[start : start + size] = 100.0  # its exponential is no float
        start += size
    agent.set_params(bad)
    with pytest.raises(NonFiniteError, match="action is infinite in row 0"):
        agent.train(1, 60.0)
    agent.set_params(good)
    agent.train(1, 60.0)


def test_train_tells_the_returns_of_each_variant(agent: PpoAgent) -> None:
    variants = [EnvVariant(params=[("force_mag", force)], seed_start=0, seed_end=10, count=2) for force in (10.0, 30.0)]
    agent.assign_variants(variants)
    stats = agent.train(2000, 60.0)
    first, second = stats.variants
    assert first.episodes + second.episodes == stats.episodes
    assert min(first.episodes, second.episodes) > 0
    total = first.episodes * first.mean_return + second.episodes * second.mean_return
    assert total / stats.episodes == pytest.approx(stats.mean_return)
    assert first.mean_return > second.mean_return  # three times the force: the pole falls sooner


def test_unknown_env_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="CartPole-v1"):
        make_ppo_agent("CartPol-v1", SMALL)
    with pytest.raises(ValueError, match="Pendulum-v1"):
        env_spec("Pendulun-v1")


def test_actions_are_checked_before_the_envs_move() -> None:
    env = VectorEnv("CartPole-v1", 3, seed=1)
    before = env.observe()
    for bad in (2.0, -1.0, 0.5, np.nan):
        with pytest.raises(ValueError, match="action"):
            env.step(np.array([[0.0], [1.0], [bad]], np.float32))
    with pytest.raises(ValueError, match=r"actions must have shape \[3, 1\], got \[3\]"):
        env.step(np.zeros(3, np.float32))
    with pytest.raises(TypeError, match="actions must be float32"):
        env.step(np.zeros((3, 1), np.int64))
    assert np.array_equal(env.observe(), before)


def test_step_reports_the_episode_that_ended_and_restarts_it() -> None:
    env = VectorEnv("CartPole-v1", 2, seed=1)
    env.set_state(1, np.array([2.399, 10.0, 0.0, 0.0], np.float32), elapsed_steps=7)
    observations, rewards, terminated, truncated, final, returns, lengths = env.step(np.ones((2, 1), np.float32))
    assert terminated.tolist() == [0, 1]
    assert truncated.tolist() == [0, 0]
    assert rewards.tolist() == [1.0, 1.0]
    assert final[1, 0] > 2.4
    assert abs(observations[1]).max() <= 0.05
    assert (returns[1], lengths[1]) == (1.0, 8)
    assert not final[0].any()


def test_variants_are_shared_out_and_kept() -> None:
    env = VectorEnv("CartPole-v1", 5, seed=1)
    long = EnvVariant(params=[("length", 1.0)], seed_start=0, seed_end=10, count=2)
    short = EnvVariant(params=[("length", 0.25)], seed_start=0, seed_end=10, count=3)
    assert env.assign_variants([long, short]) == [0, 1, 2, 3, 4]
    assert sorted(env.variant_of().tolist()) == [0, 0, 1, 1, 1]
    assert env.assign_variants([long, short]) == []


TRIES = 20
"""A machine with other work may keep one thread from the processor while the other trains; not so often in a row."""


def test_training_releases_the_gil() -> None:
    agent = make_ppo_agent("CartPole-v1", PpoSettings())
    assert any(turns_during_training(agent) > 20 for _ in range(TRIES)), "with the GIL held it is one or two"


def turns_during_training(agent: PpoAgent) -> int:
    worker = threading.Thread(target=agent.train, args=(2**62, 0.5))
    worker.start()
    turns = 0
    while worker.is_alive():
        turns += 1
        time.sleep(0.001)
    worker.join()
    return turns


def test_a_second_thread_gets_an_error_and_not_a_race(agent: PpoAgent) -> None:
    assert any(is_refused_during_training(agent) for _ in range(TRIES))
    assert agent.get_params().shape == (agent.num_params,)


def is_refused_during_training(agent: PpoAgent) -> bool:
    worker = threading.Thread(target=agent.train, args=(2**62, 0.5))
    worker.start()
    refused = False
    while worker.is_alive() and not refused:
        try:
            agent.get_params()
        except RuntimeError as error:
            refused = "in use by another thread" in str(error)
    worker.join()
    return refused
