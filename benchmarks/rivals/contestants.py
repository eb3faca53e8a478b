"""Who is measured, and how each of them is called."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rivals.environments import ROOT, prepare

OURS = "Murmuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What all contestants do at the same settings."""

    env: str
    setting: str
    threads: int

    @property
    def title(self) -> str:
        return f"{self.env}, {self.setting}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """requirements: name of its environment; empty: ours. program: in this folder. arguments: more for it.

    envs: those that it can train on.
    """

    name: str
    requirements: str = ""
    program: str = ""
    arguments: tuple[str, ...] = ()
    envs: tuple[str, ...] = ("CartPole-v1", "Pendulum-v1")


CONTESTANTS = (
    Contestant(name=OURS),
    Contestant(name="Murmuration, libtorch back end", arguments=("--backend", "libtorch")),
    Contestant(name="Stable-Baselines3 2.9", requirements="stable-baselines3", program="run_stable_baselines3.py"),
    Contestant(
        name="CleanRL loop, Gymnasium 1.4",
        requirements="gymnasium",
        program="run_ppo_loop.py",
        arguments=("--variant", "gymnasium"),
    ),
    Contestant(
        name="CleanRL loop, Gymnasium's vectorised env",
        requirements="gymnasium",
        program="run_ppo_loop.py",
        arguments=("--variant", "gymnasium-vector"),
        envs=("CartPole-v1",),
    ),
    Contestant(
        name="CleanRL loop, EnvPool 1.2.5",
        requirements="envpool",
        program="run_ppo_loop.py",
        arguments=("--variant", "envpool"),
    ),
    Contestant(
        name="PufferLib 3.0 (CartPole in C)",
        requirements="pufferlib",
        program="run_pufferlib.py",
        envs=("CartPole-v1",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Env steps a second of one stretch, by the clock and by CPU time."""

    wall: float
    cpu: float


class ContestantError(Exception):
    """A contestant's program failed; the message holds its last words."""


def run_once(contestant: Contestant, scenario: Scenario, *, seconds: float) -> Rate:
    """Train for one stretch in a fresh process. Raises: ContestantError, InstallError."""
    command, folder = _command(contestant, scenario, seconds=seconds)
    threads = str(scenario.threads)
    variables = {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    try:
        result = json.loads(done.stdout.strip().splitlines()[-1])
        return Rate(wall=_number(result["env_steps_per_s"]), cpu=_number(result["env_steps_per_cpu_s"]))
    except (IndexError, KeyError, TypeError, ValueError) as error:
        words = (done.stderr or done.stdout).strip()[-600:]
        raise ContestantError(f"{contestant.name} ended with exit code {done.returncode}: {words}") from error


def _command(contestant: Contestant, scenario: Scenario, *, seconds: float) -> tuple[list[str], Path]:
    options = ["--env", scenario.env, "--setting", scenario.setting, "--threads", str(scenario.threads)]
    options += ["--seconds", str(seconds), *contestant.arguments]
    if not contestant.requirements:
        ours = [sys.executable, "-m", "peer.cli", "bench", "train", "--json", "--repeats", "1", "--device", "cpu"]
        return [*ours, *options], ROOT
    python, folder = prepare(contestant.requirements)
    return [str(python), str(ROOT / "benchmarks" / "rivals" / contestant.program), *options], folder


def _number(value: object) -> float:
    """Read a rate: ours come with their spread."""
    if isinstance(value, dict):
        value = value["median"]
    if not isinstance(value, int | float):
        raise TypeError(f"expected a number, got {value!r}")
    return float(value)
