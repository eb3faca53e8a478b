"""A user's own environment, in a module beside where `murmur` runs: trained, evaluated, gone on with, and failing."""

import json
import re
import signal
import subprocess
import sys
import time
from functools import partial

import pytest

from tests.process.murmur import ENDLESS, FAST, START_S, Event, Murmur

CORRIDOR = '''
import threading
import time

import gymnasium as gym
import numpy as np


class Corridor(gym.Env):
    """Walk to the right end; a trap door opens after so many steps, if it is one of those corridors."""

    observation_space = gym.spaces.Discrete(8)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length: int = 4, trap_after: int = 0):
        self.length, self.trap_after, self.steps = length, trap_after, 0
        self.left = threading.Event()
        threading.Thread(target=self.left.wait).start()  # Python waits for it when it ends

    def close(self):
        self.left.set()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return self.at, {}

    def step(self, action):
        self.steps += 1
        print("a step")
        if self.steps == self.trap_after:
            raise RuntimeError("the trap door opened")
        self.at = max(0, self.at + (1 if action else -1))
        return self.at, 1.0 if self.at == self.length else -0.01, self.at == self.length, False, {}


class Slow(Corridor):
    """Each step takes a while; in a rollout of 1,024 of them, minutes."""

    def step(self, action):
        print("a slow step")
        time.sleep(self.length)
        return super().step(action)


gym.register("Slow-v0", Slow, max_episode_steps=30, kwargs={"length": 1})
gym.register("Hanging-v0", Slow, max_episode_steps=30, kwargs={"length": 10_000})
gym.register("Corridor-v0", Corridor, max_episode_steps=30)
gym.register("Trapped-v0", Corridor, max_episode_steps=30, kwargs={"trap_after": 5000})
print("the module of the user was imported")
'''

NAME = "corridors:Corridor-v0"
BEST_RETURN = 0.97
BEST = f"stop.mean_return={BEST_RETURN}"


@pytest.fixture
def murmur_with_env(murmur: Murmur) -> Murmur:
    (murmur.folder / "corridors.py").write_text(CORRIDOR)
    return murmur


def outcome(murmur: Murmur, *arguments: str) -> tuple[int, str]:
    process = murmur.run(*arguments)
    return process.wait(within_s=START_S), process.output


def test_a_learner_is_trained_evaluated_and_gone_on_with(murmur_with_env: Murmur) -> None:
    murmur, consent = murmur_with_env, f"env.name={NAME}"
    code, output = outcome(murmur, "train", consent, "-o", "model.safetensors", "--env-steps", "4096", BEST)
    assert code == 0, output
    assert f"{NAME}: solved; greedy return 1.0" in output
    assert f"murmur eval model.safetensors --env {NAME}" in output

    code, output = outcome(murmur, "eval", "model.safetensors", "--env", NAME)
    assert code == 0, output
    assert f"{NAME}: mean return 1.0 over 20 greedy episodes" in output

    resumed = ("train", "--resume", "-o", "model.safetensors", "stop.mean_return=null", "--env-steps", "9000")
    code, output = outcome(murmur, *resumed, consent)
    assert code == 0, output
    code, output = outcome(murmur, "train", "--from", "model.safetensors", consent, "-o", "next.safetensors", BEST)
    assert code == 0, output
    assert f"{NAME} | 0 env steps | greedy return 1.0" in output


def test_no_module_is_imported_because_a_file_says_so(murmur_with_env: Murmur) -> None:
    murmur = murmur_with_env
    made = outcome(murmur, "train", f"env.name={NAME}", "-o", "model.safetensors", "--env-steps", "512")
    assert made[0] == 0
    for arguments, way_out in (
        (("eval", "model.safetensors"), f"say --env {NAME}"),
        (("train", "--resume", "-o", "model.safetensors"), f"say env.name={NAME} if that module is yours"),
        (("train", "--from", "model.safetensors"), f"say env.name={NAME} if that module is yours"),
        (("eval", "model.safetensors", "--env", "gymnasium:CartPole-v1"), "contradicts model.safetensors"),
    ):
        code, output = outcome(murmur, *arguments)
        assert code == 2, output
        assert way_out in output
        assert "was imported" not in output


def test_a_swarm_learns_in_it_and_its_chain_can_be_checked(murmur_with_env: Murmur) -> None:
    murmur = murmur_with_env
    variants = "env.variants={short: {params: {length: 2}}, long: {}}"
    swarm = murmur.run("up", "-n", "2", *ENDLESS, f"env.name={NAME}", variants, "storage.data_dir=runs")
    sealed = "round_sealed"
    first = swarm.wait_for(sealed, lambda event: event["admitted"] == 2, within_s=START_S)
    for peer in ("peer-1", "peer-2"):
        swarm.wait_for(sealed, partial(_is_solved_by_both, peer=peer, after=first["round"]))
    assert swarm.stop() == 0, swarm.output
    models: dict[int, set[str]] = {}
    for event in swarm.named("round_final"):
        if event["round"] >= first["round"]:
            models.setdefault(event["round"], set()).add(event["model"])
    assert models
    assert all(len(of_a_round) == 1 for of_a_round in models.values()), models
    assert {task for event in swarm.named("tasks_assigned") for task in event["tasks"]} == {"short", "long"}

    code, output = outcome(murmur, "log", "--verify", "--data-dir", "runs")
    assert code == 2, output
    assert "give the run's configuration (--config)" in output
    assert "was imported" not in output
    settings = murmur.folder / "settings.yaml"
    settings.write_text(_as_file(f"env.name={NAME}", variants, *ENDLESS))
    code, output = outcome(murmur, "log", "--verify", "--data-dir", "runs", "-c", str(settings))
    assert code == 0, output
    assert "good: nothing contradicts the chain" in output


def test_results_are_not_mixed_with_what_a_module_prints(murmur_with_env: Murmur) -> None:
    command = [sys.executable, "-m", "peer.cli", "train", f"env.name={NAME}", "--env-steps", "512", "--json"]
    done = subprocess.run(
        command, cwd=murmur_with_env.folder, capture_output=True, text=True, check=True, timeout=START_S
    )
    assert json.loads(done.stdout)["env"] == NAME
    assert "was imported" in done.stderr
    assert "a step" in done.stderr


def test_a_peer_whose_environment_fails_says_where_and_ends(murmur_with_env: Murmur) -> None:
    peer = murmur_with_env.peer("a", "env.name=corridors:Trapped-v0")
    assert peer.wait(within_s=START_S) == 1, peer.output
    (failed,) = peer.named("environment_failed")
    place = re.escape(str(murmur_with_env.folder / "corridors.py"))
    assert re.fullmatch(
        rf"corridors:Trapped-v0 failed in step\([01]\): RuntimeError: the trap door opened \({place}:\d+\)",
        failed["cause"],
    )
    assert "Traceback" not in peer.output


def test_a_learner_whose_environment_fails_keeps_what_it_learned(murmur_with_env: Murmur) -> None:
    arguments = ("train", "env.name=corridors:Trapped-v0", "stop.mean_return=null", "-o", "model.safetensors")
    code, output = outcome(murmur_with_env, *arguments)
    assert code == 1, output
    assert "corridors:Trapped-v0: the environment failed; greedy return" in output
    assert "cause: corridors:Trapped-v0 failed in step" in output
    assert "Traceback" not in output
    assert (murmur_with_env.folder / "model.safetensors").exists()


def test_ctrl_c_waits_for_a_step_of_a_slow_environment_and_not_for_its_rollout(murmur_with_env: Murmur) -> None:
    learner = murmur_with_env.run("train", "env.name=corridors:Slow-v0", "-o", "model.safetensors")
    learner.wait_for_line("a slow step", within_s=START_S)
    learner.send(signal.SIGINT)
    learner.wait_for_line("murmur: stopping when the environment has ended the step that it is in", within_s=START_S)
    assert learner.wait(within_s=START_S) == 0, learner.output
    assert "corridors:Slow-v0: interrupted" in learner.output
    assert (murmur_with_env.folder / "model.safetensors").exists()

    peer = murmur_with_env.peer("a", "env.name=corridors:Slow-v0")
    peer.wait_for_line("a slow step", within_s=START_S)
    assert peer.stop(signal.SIGINT) == 0
    (stopping,) = peer.named("shutdown_started")
    assert stopping["waits_for"] == "the environment has ended the step that it is in"
    assert "Traceback" not in peer.output


@pytest.mark.parametrize("command", [("peer", "network.port=0"), ("up", "-n", "1")])
def test_second_ctrl_c_ends_a_peer_whose_environment_hangs(murmur_with_env: Murmur, command: tuple[str, ...]) -> None:
    hanging = murmur_with_env.run(*command, *FAST, "env.name=corridors:Hanging-v0")
    hanging.wait_for_line("a slow step", within_s=START_S)
    hanging.send(signal.SIGINT)
    hanging.wait_for("shutdown_started")
    time.sleep(0.7)
    hanging.send(signal.SIGINT)
    assert hanging.wait() == 128 + signal.SIGINT, hanging.output


def _is_solved_by_both(event: Event, peer: str, after: int) -> bool:
    return bool(
        event["peer"] == peer
        and event["round"] > after
        and event["admitted"] == 2
        and event["mean_return"] is not None
        and event["mean_return"] > BEST_RETURN - 0.001
    )


def _as_file(*lines: str) -> str:
    """Return `section.key=value` lines as a file of settings."""
    sections: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        sections[section] = sections.get(section, f"{section}:\n") + f"  {name}: {value}\n"
    return "".join(sections.values())
