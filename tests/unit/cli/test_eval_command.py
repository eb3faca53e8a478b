"""`murmur eval`: figures that can be repeated, and one message for whatever is no model."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import peer.commands.exits
import peer.commands.simulate
import peer.commands.table
import peer.commands.train
import peer.local_swarm
import peer.process
from peer.native import PpoAgent, PpoSettings, make_ppo_agent
from peer.storage.model_file import ModelFile, load_model, save_model
from peer.types import ModelState, Moments
from peer.wire.hashing import hashed_parts, model_hash
from tests.unit.cli.refusals import RUNNER, refused


@pytest.fixture(autouse=True)
def outside_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find no configs/config.yaml, and leave pytest's own signal handlers alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(peer.commands.exits, "on_stop", lambda _: None)
    monkeypatch.setattr(peer.commands.exits, "end_by_signals", lambda: None)


def _save(
    path: Path,
    *,
    env: str = "CartPole-v1",
    hidden: str = "16",
    size: int | None = None,
    fill: float | None = None,
    agent: PpoAgent | None = None,
    **more: str,
) -> Path:
    agent = agent or make_ppo_agent("CartPole-v1", PpoSettings(hidden=(16,)))
    params = agent.get_params() if fill is None else np.full(agent.num_params, fill, np.float32)
    count, mean, m2 = (np.asarray(each) for each in agent.moments())
    params = params if size is None else np.zeros(size, np.float32)
    settings = {"env": env, "hidden": hidden, "activation": "tanh", "normalize_observations": "false", "round": "3"}
    settings |= more
    state = ModelState(params=params, moments=Moments(count=count, mean=mean, m2=m2))
    save_model(path, ModelFile(state=state, settings=settings))
    return path


def test_eval_prints_the_same_figure_every_time(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors")
    first, second = (RUNNER.invoke(peer.commands.table.app, ["eval", str(path), "--episodes", "5"]) for _ in range(2))
    assert first.exit_code == 0, first.output
    assert first.stdout == second.stdout
    assert re.match(
        r"CartPole-v1: mean return [\d.]+ over 5 greedy episodes \(seed 1000000000; round 3 of", first.stdout
    )


def test_eval_as_json_holds_every_return_and_their_spread(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors", run="cartpole")
    result = RUNNER.invoke(peer.commands.table.app, ["eval", str(path), "--episodes", "7", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["env"], told["run"], told["round"], told["episodes"]) == ("CartPole-v1", "cartpole", 3, 7)
    assert len(told["returns"]) == 7
    assert told["mean_return"] == pytest.approx(np.mean(told["returns"]))
    assert told["std_return"] == pytest.approx(np.std(told["returns"]))
    assert (told["min_return"], told["max_return"]) == (min(told["returns"]), max(told["returns"]))
    text = RUNNER.invoke(peer.commands.table.app, ["eval", str(path), "--episodes", "7"]).stdout
    assert f"mean return {told['mean_return']:.1f} over 7" in text
    assert f"; std {told['std_return']:.1f}, {told['min_return']:.1f} to {told['max_return']:.1f})" in text


def test_eval_of_a_policy_that_overflows_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors", fill=3e38)
    assert f"{path} holds a policy that cannot act: policy output" in refused("eval", str(path))


def test_ctrl_c_ends_an_evaluation_at_once(tmp_path: Path) -> None:
    large = make_ppo_agent("Pendulum-v1", PpoSettings(hidden=(512, 512)))
    path = _save(tmp_path / "model.safetensors", env="Pendulum-v1", hidden="512,512", agent=large)
    command = [sys.executable, "-m", "peer.cli", "eval", str(tmp_path), "--episodes", "100000"]  # minutes of work
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline() == f"{path}\n"  # told just before it begins
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(timeout=60.0) == -signal.SIGINT
    finally:
        process.kill()


def test_eval_of_no_file_says_which_to_give() -> None:
    said = refused("eval", "gone.safetensors")
    assert said.startswith("murmur: there is no model at gone.safetensors: a peer saves its model every round.snap")


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"not a model at all", b"\xff" * 64, bytes(4096)])
def test_eval_of_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    assert str(path) in refused("eval", str(path))


def test_eval_of_a_folder_takes_the_model_in_it_and_says_which(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors")
    result = RUNNER.invoke(peer.commands.table.app, ["eval", str(tmp_path), "--episodes", "5"])
    assert result.exit_code == 0, result.output
    assert result.stderr == f"{path}\n"


def test_eval_of_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    assert f"there is no model in {tmp_path}: name another" in refused("eval", str(tmp_path))


def test_eval_of_any_truncated_model_is_refused(tmp_path: Path) -> None:
    data = _save(tmp_path / "whole").read_bytes()
    path = tmp_path / "model.safetensors"
    for length in range(0, len(data), max(1, len(data) // 23)):
        path.write_bytes(data[:length])
        assert str(path) in refused("eval", str(path))


@pytest.mark.parametrize(
    "changes",
    [{"env": "Pendulum-v1"}, {"env": "NoSuchEnv"}, {"hidden": "17"}, {"hidden": "a,b"}, {"hidden": ""}, {"size": 0}],
)
def test_eval_of_a_model_that_contradicts_itself_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = _save(tmp_path / "model.safetensors", **changes)
    assert str(path) in refused("eval", str(path))


def test_eval_draws_no_first_weights_of_a_network_that_the_file_does_not_hold(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors", hidden="512,512")
    assert "hidden layers of (512, 512) units have 262144 weights" in refused("eval", str(path))


def test_eval_of_another_model_than_the_file_names_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors")
    state = load_model(path).state
    names = (model_hash(state).hex(), hashlib.sha256(b"".join(hashed_parts(state))).hexdigest())
    for name in names:  # of this version, and of those before protocol 5
        _save(path, model_hash=name)
        assert RUNNER.invoke(peer.commands.table.app, ["eval", str(path), "--episodes", "1"]).exit_code == 0
    _save(path, model_hash="00" * 32)
    assert f"{path} holds model {names[0][:12]}, but says that it is 000000000000" in refused("eval", str(path))


def test_eval_of_numbers_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors")
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["params"] |= {"dtype": "BF16", "shape": [2 * header["params"]["shape"][0]]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])
    assert f"{path} cannot be read as a model" in refused("eval", str(path))


def test_eval_shows_no_control_characters_of_the_file(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors", run="\x1b[31mred\x07")
    result = RUNNER.invoke(peer.commands.table.app, ["eval", str(path), "--episodes", "1"])
    assert "of run \\x1b[31mred\\x07; std" in result.stdout
    _save(path, env="\x1b[31mred")
    assert "unknown env '\\x1b[31mred'" in refused("eval", str(path))


def test_eval_does_not_blame_the_file_for_a_device_that_is_not_here(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors")
    assert refused("eval", str(path), "--device", "tpu").startswith("murmur: device ")


def test_eval_refuses_cuda_where_there_is_none(tmp_path: Path) -> None:
    path = _save(tmp_path / "model.safetensors")
    assert "device" in refused("eval", str(path), "--device", "tpu")
