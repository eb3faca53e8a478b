"""`murmur bench`: env steps a second of one learner, or of stepping its envs from Python."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TextIO

import numpy as np
import numpy.typing as npt

from peer.agents.first_model import tell_long_draw
from peer.config.schema import Config
from peer.native import EnvSpec, StepArrays, VectorEnv, make_ppo_agent
from peer.settings import ppo_settings, threads
from peer.solo.backend import Backend, parse_backend
from peer.solo.machine import describe_machine
from peer.solo.rates import Spread, Stretch, cpu_rate, measure, spread, wall_rate
from peer.solo.settings import BenchOptions, stepping_config, train_config
from peer.telemetry.spare_stream import spare_stderr
from peer.types import PeerId, Seconds

_ACTION_BATCHES = 64
"""Random actions are drawn before the clock runs; this many batches are then used in turn."""

_NO_STEP_LIMIT = 2**62

_STEPPING = Backend(name="native", kernels=None, device="cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """What one benchmark has measured. machine: with its load when the measurement began. num_envs: stepped at once."""

    what: str
    env: str
    setting: str
    num_envs: int
    threads: int
    device: str
    backend: str
    kernels: str | None
    env_steps_per_s: Spread
    env_steps_per_cpu_s: Spread
    repeats: int
    seconds: Seconds
    machine: str

    def json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    def text(self) -> str:
        wall, cpu = self.env_steps_per_s, self.env_steps_per_cpu_s
        kernels = f" ({self.kernels})" if self.kernels else ""
        return (
            f"{self.what} {self.env}, {self.setting} ({self.num_envs} envs), {self.backend}{kernels} on {self.device},"
            f" threads: {self.threads}\n"
            f"  {wall.median:,.0f} env steps/s   (median of {self.repeats}; {wall.min:,.0f} to {wall.max:,.0f})\n"
            f"  {cpu.median:,.0f} env steps/CPU s   ({cpu.min:,.0f} to {cpu.max:,.0f})\n"
            f"  {self.machine}"
        )


def bench_train(options: BenchOptions, *, stream: TextIO | None = None) -> BenchResult:
    """Measure PPO end to end, rollouts and updates together. Raises: ConfigError, ValueError naming what is wrong."""
    config = train_config(options)
    settings = ppo_settings(config, PeerId("bench"))
    tell_long_draw(config.env.name, settings, _teller(stream))
    agent = make_ppo_agent(config.env.name, settings)
    backend = parse_backend(agent.backend_name)

    def steps(seconds: Seconds) -> int:
        return agent.train(_NO_STEP_LIMIT, seconds).env_steps

    return _measured("train", options, config, backend=backend, steps=steps, stream=stream)


def bench_env(options: BenchOptions, *, stream: TextIO | None = None) -> BenchResult:
    """Measure stepping with random actions, called from Python. Raises: as above."""
    config = stepping_config(options)
    if config.compute.device == "cuda":
        raise ValueError("--device: envs are stepped from Python on the cpu only, got 'cuda'")
    if config.compute.backend != "auto":
        raise ValueError("--backend: stepping envs involves no back end; it goes with `murmur bench train`")
    env = VectorEnv(config.env.name, config.ppo.num_envs, config.run.seed, threads(config))
    steps = _stepper(env, seed=config.run.seed)
    return _measured("env", options, config, backend=_STEPPING, steps=steps, stream=stream)


def _stepper(env: VectorEnv, *, seed: int) -> Callable[[Seconds], int]:
    batches = _random_actions(env.spec, env.num_envs, seed=seed)
    out = StepArrays(env)
    env.reset(seed)

    def steps(seconds: Seconds) -> int:
        done = 0
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            for actions in batches:
                env.step_into(actions, out)
            done += len(batches) * env.num_envs
        return done

    return steps


def _random_actions(spec: EnvSpec, num_envs: int, *, seed: int) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    shape = (num_envs, spec.action_dim)
    if spec.discrete:
        drawn = [rng.integers(spec.num_actions, size=shape) for _ in range(_ACTION_BATCHES)]
        return [batch.astype(np.float32) for batch in drawn]
    low, high = spec.action_low, spec.action_high
    return [rng.uniform(low, high, shape).astype(np.float32) for _ in range(_ACTION_BATCHES)]


def _teller(stream: TextIO | None) -> Callable[[str], None]:
    """Return what prints a line, to `stream`; None: to stderr."""
    spare = spare_stderr(stream)

    def tell(text: str) -> None:
        spare.write(f"{text}\n")
        spare.flush()

    return tell


def _measured(
    what: str,
    options: BenchOptions,
    config: Config,
    *,
    backend: Backend,
    steps: Callable[[Seconds], int],
    stream: TextIO | None,
) -> BenchResult:
    machine = describe_machine()
    told = _teller(stream)
    done: list[Stretch] = []

    def tell(stretch: Stretch) -> None:
        done.append(stretch)
        told(f"{len(done)}/{options.repeats}: {wall_rate(stretch):,.0f} env steps/s")

    stretches = measure(steps, seconds=options.seconds, repeats=options.repeats, done=tell)
    return BenchResult(
        what=what,
        env=config.env.name,
        setting=options.setting,
        num_envs=config.ppo.num_envs,
        threads=threads(config),
        device=backend.device,
        backend=backend.name,
        kernels=backend.kernels,
        env_steps_per_s=spread([wall_rate(stretch) for stretch in stretches]),
        env_steps_per_cpu_s=spread([cpu_rate(stretch) for stretch in stretches]),
        repeats=options.repeats,
        seconds=options.seconds,
        machine=machine,
    )
