"""The two settings that trainers are compared at, and how a benchmark's options become a checked configuration."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from peer.config.describe import names
from peer.config.likeness import nearest
from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.sources import Base
from peer.config.unread import check_read
from peer.known_envs import KnownEnvs

_ALGORITHM = (
    "model.hidden=[64,64]",
    "model.activation=tanh",
    "model.shared_trunk=false",
    "ppo.gamma=0.99",
    "ppo.gae_lambda=0.95",
    "ppo.clip_range=0.2",
    "ppo.value_clip_range=0.2",
    "ppo.entropy_coef=0.0",
    "ppo.value_coef=0.5",
    "ppo.max_grad_norm=0.5",
    "ppo.learning_rate=0.00025",
    "ppo.normalize_observations=false",
    "ppo.normalize_rewards=false",
    "ppo.normalize_advantages=true",
)
"""CleanRL's ppo.py: separate actor and critic of 2 x 64 tanh, clipped value loss, gradient clip 0.5. Its entropy
bonus is left out."""

SETTINGS: dict[str, tuple[str, ...]] = {
    "classic": ("ppo.num_envs=8", "ppo.rollout_steps=128", "ppo.epochs=4", "ppo.minibatch_size=256"),
    "throughput": ("ppo.num_envs=1024", "ppo.rollout_steps=64", "ppo.epochs=2", "ppo.minibatch_size=16384"),
}
"""classic: what small tasks are trained with. throughput: what a simulation of many envs at once allows."""

_DEFAULTS = ("env.name=CartPole-v1", "compute.threads=1")

_STEPPING_ONLY = ("ppo.rollout_steps=1", "ppo.minibatch_size=1", "ppo.normalize_advantages=false")
"""Stepping has no batches: any number of envs will do."""

_UNREAD = dict.fromkeys(
    ("round.", "aggregation.", "network.", "storage.", "log.", "stop.", "env.variants", "compute.nice"),
    "no benchmark reads it",
)
_READ_IN_STEPPING = ("env.", "ppo.num_envs", "run.seed", "compute.threads", "compute.device", "compute.backend")
_UNREAD_IN_STEPPING = {**_UNREAD, **dict.fromkeys(_READ_IN_STEPPING, ""), "": "it goes with `murmur bench train`"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What the command line says. overrides: `section.key=value`, over the setting's own.

    env, threads, device, backend: None: as the overrides say, else the default. seconds: of each of the `repeats`
    stretches.
    """

    env: str | None = None
    setting: str
    threads: int | None = None
    device: str | None = None
    backend: str | None = None
    seconds: float = 1.0
    repeats: int = 7
    overrides: Sequence[str] = ()


def train_config(options: BenchOptions) -> Config:
    """Return the configuration of a training benchmark. Files and environment variables have no say in it.

    Raises: ConfigError with one line a problem.
    """
    return _load(options, _preset(options.setting), unread=_UNREAD)


def stepping_config(options: BenchOptions) -> Config:
    """Return the configuration of an env benchmark: env, number of envs and threads count. Raises: as above."""
    envs = next(line for line in _preset(options.setting) if line.startswith("ppo.num_envs="))
    return _load(options, (envs, *_STEPPING_ONLY), unread=_UNREAD_IN_STEPPING)


def _preset(setting: str) -> tuple[str, ...]:
    if setting not in SETTINGS:
        near = nearest(setting, SETTINGS)
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(f"--setting: expected one of {names(SETTINGS)}, got {setting!r}{hint}")
    return SETTINGS[setting]


def _load(options: BenchOptions, preset: Sequence[str], *, unread: Mapping[str, str]) -> Config:
    if not 0 < options.seconds < math.inf:
        raise ValueError(f"--seconds: expected a finite number above 0, got {options.seconds:g}")
    if options.repeats < 1:
        raise ValueError(f"--repeats: expected at least 1, got {options.repeats}")
    base = Base(source=f"--setting {options.setting}", lines=[*_DEFAULTS, *_ALGORITHM, *preset])
    chosen = _chosen(options)
    config = _read(base, [*options.overrides, *(f"{key}={value}" for key, value in chosen.values())])
    check_read(options.overrides, unread)
    overridden = {text.partition("=")[0].strip() for text in options.overrides}
    for option, (key, value) in chosen.items():
        if key in overridden and (said := _value(_read(base, options.overrides), key)) != _value(config, key):
            raise ValueError(f"{option} {value} contradicts {key}={said}: give one of them")
    return config


def _read(base: Base, overrides: Sequence[str]) -> Config:
    return load_config([], {}, overrides, base=base, known_envs=KnownEnvs())


def _chosen(options: BenchOptions) -> dict[str, tuple[str, object]]:
    """Return the settings that have an option of their own, as given: option -> key and value."""
    settings: dict[str, tuple[str, object]] = {
        "--env": ("env.name", options.env),
        "--threads": ("compute.threads", options.threads),
        "--device": ("compute.device", options.device),
        "--backend": ("compute.backend", options.backend),
    }
    return {option: (key, value) for option, (key, value) in settings.items() if value is not None}


def _value(config: Config, key: str) -> object:
    section, name = key.split(".")
    return getattr(getattr(config, section), name)
