"""What a user types, what comes out where, and the exit codes."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from peer.agents import first_model
from peer.commands.table import app
from peer.native import env_names

FAST = ("--seconds", "0.001", "--repeats", "3")
SMALL = ("ppo.num_envs=4", "ppo.rollout_steps=16", "ppo.minibatch_size=32", "model.hidden=[8]")


@pytest.fixture(autouse=True)
def _restored_signals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The commands handle signals of their process, which is ours here; nor shall they find our configuration."""
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def murmur(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("what", ["env", "train"])
def test_bench_json_has_what_was_promised_and_nothing_else_on_stdout(what: str) -> None:
    code, out, err = murmur("bench", what, "--json", "--setting", "classic", "--device", "cpu", *FAST)
    assert code == 0, err
    result = json.loads(out)
    assert result["env"] == "CartPole-v1"
    assert result["setting"] == "classic"
    assert result["threads"] == 1
    assert result["device"] == "cpu"
    assert result["backend"] in {"env": ("native",), "train": ("fused", "libtorch")}[what]
    assert result["num_envs"] == 8
    rates = result["env_steps_per_s"]
    assert 0 < rates["min"] <= rates["median"] <= rates["max"]
    assert "cores" in result["machine"]
    assert [line.split(":")[0] for line in err.splitlines()] == ["1/3", "2/3", "3/3"]


def test_commands_say_before_they_draw_first_weights_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_model, "_LONG_S", 0.0)
    told = "murmur: drawing the 102 first weights, which takes about 0 s"  # twice 4 x 8 + 8 x 2, then 2 x 2 and 2 x 1
    model = str(tmp_path / "model.safetensors")
    train = ("train", "-o", model, "--env-steps", "64", "--device", "cpu", *SMALL, "model.hidden=[8,2]")
    for command in (
        train,
        ("train", "-o", model, "--resume", "--env-steps", "128"),
        ("eval", model, "--device", "cpu", "--episodes", "1"),
        ("bench", "train", "--device", "cpu", *FAST, *SMALL, "model.hidden=[8,2]"),
    ):
        code, _, err = murmur(*command)
        assert code == 0, err
        assert err.splitlines()[0] == told


@pytest.mark.parametrize("what", ["env", "train"])
def test_bench_measures_what_the_settings_say(what: str) -> None:
    settings = ("env.name=Pendulum-v1", "compute.threads=auto", "ppo.num_envs=4")
    code, out, err = murmur("bench", what, "--json", "--setting", "classic", *settings, *FAST)
    assert code == 0, err
    result = json.loads(out)
    assert (result["env"], result["threads"], result["num_envs"]) == ("Pendulum-v1", 1, 4)


@pytest.mark.parametrize("env", env_names())
def test_every_env_can_be_stepped(env: str) -> None:
    code, out, err = murmur("bench", "env", "--env", env, "--threads", "2", *FAST)
    assert code == 0, err
    assert f"env {env}, throughput (1024 envs)" in out
    assert "threads: 2" in out
    assert "median of 3" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "--env", "CartPol-v1"), "did you mean CartPole-v1?"),
        (("env", "--env", "nothing"), "unknown env 'nothing'"),
        (("train", "ppo.minibatch_size=1000"), "expected a divisor of num_envs * rollout_steps = 8 * 128 = 1024"),
        (("train", "ppo.num_envs=0"), "ppo.num_envs: expected a whole number from 1"),
        (("env", "ppo.num_envs=0"), "ppo.num_envs: expected a whole number from 1"),
        (("train", "--backend", "fusd"), "compute.backend: expected one of auto, libtorch, fused, got 'fusd'"),
        (("env", "--backend", "fused"), "--backend"),
        (("train", "--device", "tpu"), "expected one of auto, cpu, cuda, got 'tpu'"),
        (("env", "--device", "cuda"), "--device"),
        (("env", "compute.device=cuda"), "--device"),
        (("env", "compute.backend=libtorch"), "--backend"),
        (("train", "env.name=Pendulum-v1", "--env", "CartPole-v1"), "contradicts env.name=Pendulum-v1"),
        (("train", "--setting", "classik"), "did you mean classic?"),
        (("train", "--threads", "0"), "compute.threads"),
        (("train", "--seconds", "-1"), "--seconds"),
        (("train", "--repeats", "0"), "--repeats"),
        (("train", "nonsense"), "expected section.key=value"),
        (("train", "round.train_s=1"), "'round.train_s=1' has no effect on this command: no benchmark reads it"),
        (("env", "ppo.epochs=3"), "'ppo.epochs=3' has no effect on this command: it goes with `murmur bench train`"),
    ],
)
def test_bench_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], message: str) -> None:
    code, out, err = murmur("bench", *arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert err.startswith("murmur: ")


def test_bench_of_something_else_is_a_usage_error() -> None:
    assert murmur("bench", "everything")[0] == 2


def test_train_prints_the_summary_on_stdout_and_the_way_there_on_stderr() -> None:
    code, out, err = murmur(
        "train", "--env-steps", "128", "--eval-steps", "64", "-o", "model.safetensors", "stop.mean_return=null", *SMALL
    )
    assert code == 0, err
    assert out.startswith("CartPole-v1: stopped at the bound on env steps; greedy return ")
    assert "model: model.safetensors" in out
    assert [line.split(" | ")[1] for line in err.splitlines()] == ["0 env steps", "64 env steps", "128 env steps"]
    code, out, err = murmur("eval", "model.safetensors", "--episodes", "3")
    assert (code, "over 3 greedy episodes" in out) == (0, True), err


def test_train_says_when_its_goal_was_made_for_another_env() -> None:
    code, _out, err = murmur("train", "env.name=Pendulum-v1", "--env-steps", "64", "-o", "m.safetensors", *SMALL)
    assert code == 0, err
    assert err.startswith("murmur: stop.mean_return is 475, made for CartPole-v1: if Pendulum-v1 cannot reach it")


def test_train_reads_presets_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("preset.yaml").write_text("env: {name: Pendulum-v1}\nstop: {mean_return: null}\n")
    monkeypatch.setenv("MURMUR_RUN__SEED", "77")
    code, out, err = murmur("train", "-c", "preset.yaml", "--json", "--env-steps", "64", "-o", "m.safetensors", *SMALL)
    assert code == 0, err
    result = json.loads(out)
    assert (result["env"], result["seed"], result["reason"]) == ("Pendulum-v1", 77, "env_steps")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("env.name=CartPole",), "did you mean CartPole-v1?"),
        (("ppo.minibatch_size=100",), "expected a divisor"),
        (("compute.device=gpu",), "compute.device"),
        (("--plot", "curve.jpg"), ".png"),
        (("--device", "cpu", "compute.device=cuda"), "--device cpu contradicts compute.device=cuda: give one of them"),
        (("-c", "nowhere.yaml"), "nowhere.yaml: no such file"),
        (("log.tensorboard=tb",), "'log.tensorboard=tb' has no effect on this command: say --tensorboard FOLDER"),
        (("--resume", "round.train_s=1"), "one learner has no swarm, `murmur peer` has"),
        (("storage.slot=1",), "one learner has no slot, `murmur peer` has"),
    ],
)
def test_train_mistakes_are_one_line_and_exit_2(arguments: tuple[str, ...], message: str) -> None:
    code, out, err = murmur("train", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("train --env-steps 64 -o m.safetensors >/dev/full", 2, "murmur: the output cannot be written: No space left"),
        ("train --env-steps 64 -o m.safetensors 2>&-", 0, ""),
        ("train --env-steps 64 -o m.safetensors >/dev/full 2>&1", 2, ""),
        ("eval nothing.safetensors 2>/dev/full", 2, ""),
        ("train --env-steps 64 -o m.safetensors && {again} --resume -o m.safetensors 2>/dev/full", 0, ""),
        ("bench env --seconds 0.01 --repeats 1 >/dev/full", 2, "murmur: the output cannot be written: No space left"),
        ("bench env --seconds 0.01 --repeats 1 2>&-", 0, ""),
        ("bench env --seconds 0.01 --repeats 1 2>/dev/full", 0, ""),
        ("bench env --seconds 0.01 --repeats 1 >&-", 0, ""),
    ],
)
def test_output_that_cannot_be_written_is_one_line_and_progress_is_spared(command: str, code: int, told: str) -> None:
    murmur = f"{sys.executable} -m peer.cli"
    shell = f"{murmur} {command.format(again=f'{murmur} train')}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_while_first_weights_are_drawn_ends_at_once() -> None:
    command = [
        sys.executable,
        "-m",
        "peer.cli",
        "train",
        "model.hidden=[4096,4096,4096]",
        "-o",
        "m.safetensors",
    ]  # minutes
    process = subprocess.Popen(command)
    libraries = Path(f"/proc/{process.pid}/maps")
    deadline = time.monotonic() + 60.0
    try:
        while "peer/_core" not in libraries.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(2.0)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60.0) == -signal.SIGINT
    finally:
        process.kill()
    assert not Path("m.safetensors").exists()


@pytest.mark.parametrize("option", ["--env-steps", "--eval-steps"])
@pytest.mark.parametrize("steps", ["0", "-1", "1.5", "many", "1e99", "nan", "inf", ""])
def test_train_refuses_what_is_no_number_of_steps(option: str, steps: str) -> None:
    code, _, err = murmur("train", option, steps)
    assert code == 2
    assert f"expected a whole number from 1 to 2^63 - 1, such as 100000 or 1e5, got {steps!r}" in err


@pytest.mark.parametrize("steps", ["64", "6.4e1", "6_4", "64.0"])
def test_train_takes_steps_as_people_write_them(steps: str) -> None:
    code, out, err = murmur("train", "--env-steps", steps, "--json", "-o", "m.safetensors", *SMALL)
    assert code == 0, err
    assert json.loads(out)["env_steps"] == 64


def test_train_goes_on_after_ctrl_c_and_says_how() -> None:
    command = [sys.executable, "-m", "peer.cli", "train", "stop.mean_return=null", *SMALL]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while " 8,192 env steps" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30.0)
    assert process.returncode == 0
    [model] = Path("runs/train").glob("*/model.safetensors")
    assert f"  to go on: murmur train --resume -o {model}\n" in out
    reached = int(json.loads(murmur("train", "--resume", "--env-steps", "64", "--json")[1])["env_steps"])
    assert reached >= 8192
    code, out, err = murmur("train", "--resume", "--env-steps", str(reached + 640), "--json")
    assert code == 0, err
    assert err.startswith(f"murmur: going on with {model} from env step {reached:,}\n")
    result = json.loads(out)
    assert (result["env_steps"], result["resumed_at_env_steps"]) == (reached + 640, reached)
    lines = model.with_name("curve.jsonl").read_text().splitlines()
    assert [json.loads(line)["env_steps"] for line in lines] == [point["env_steps"] for point in result["curve"]]


def test_train_goes_on_with_the_settings_of_the_run_and_not_those_of_the_default_file() -> None:
    Path("preset.yaml").write_text("env: {name: Pendulum-v1}\nstop: {mean_return: null}\n")
    assert murmur("train", "-c", "preset.yaml", "--env-steps", "64", "-o", "m.safetensors", *SMALL)[0] == 0
    Path("configs").mkdir()
    Path("configs/config.yaml").write_text("env: {name: CartPole-v1}\nmodel: {hidden: [64, 64]}\n")
    code, out, err = murmur("train", "--resume", "-o", "m.safetensors", "--env-steps", "128", "--json")
    assert code == 0, err
    assert (json.loads(out)["env"], json.loads(out)["env_steps"]) == ("Pendulum-v1", 128)
    code, _, err = murmur("train", "--resume", "-o", "m.safetensors", "-c", "configs/config.yaml")
    assert code == 2
    assert [line.split(": the run of m.safetensors")[0] for line in err.splitlines()] == [
        "murmur: env.name",
        "model.hidden",
    ]


def test_train_begins_with_a_model_and_its_settings_and_else_those_of_the_default_file() -> None:
    assert murmur("train", "env.name=Pendulum-v1", "--env-steps", "64", "-o", "m.safetensors", *SMALL)[0] == 0
    Path("configs").mkdir()
    Path("configs/config.yaml").write_text("env: {name: CartPole-v1}\nppo: {learning_rate: 0.007}\n")
    code, out, err = murmur(
        "train", "--from", "m.safetensors", "--env-steps", "64", "-o", "on.safetensors", "--json", *SMALL[:3]
    )
    assert code == 0, err
    result = json.loads(out)
    assert (result["env"], result["began_with"], result["resumed_at_env_steps"]) == (
        "Pendulum-v1",
        "m.safetensors",
        None,
    )
    assert result["curve"][-1]["learning_rate"] == pytest.approx(0.007)
    code, _, err = murmur("train", "--from", "m.safetensors", "model.hidden=[32]")
    assert (code, err) == (
        2,
        "murmur: model.hidden: m.safetensors was trained with [8], got [32];"
        " leave model.hidden out, or set it to [8]\n",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resume",), "murmur: there is no run to go on with in runs/train: leave --resume out, or name its model"),
        (("--resume", "-o", "m.safetensors"), "murmur: there is no run to go on with: m.safetensors.state is missing"),
        (("--resume", "--from", "m.safetensors"), "murmur: --from begins a new run, --resume goes on with one"),
        (("--from", "m.safetensors"), "murmur: there is no model at m.safetensors"),
    ],
)
def test_train_that_cannot_go_on_says_why(arguments: tuple[str, ...], message: str) -> None:
    code, out, err = murmur("train", *arguments)
    assert (code, out, err.startswith(message), len(err.splitlines())) == (2, "", True, 1)
    assert not Path("runs").exists()
