"""What `--device cuda` says without a GPU, and does with one (`pytest -m gpu`)."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from peer.commands.table import app
from peer.native import PpoSettings, make_ppo_agent

FAST = ("--seconds", "0.5", "--repeats", "3")


def murmur(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def _there_is_a_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or Path("/dev/dxg").exists()


@pytest.mark.skipif(_there_is_a_gpu(), reason="this machine has a GPU")
@pytest.mark.parametrize("backend", ["auto", "fused"])
@pytest.mark.parametrize("command", [("bench", "train", *FAST), ("train",)], ids=["bench", "train"])
def test_cuda_without_a_gpu_is_one_line_that_names_the_next_step(
    command: tuple[str, ...], backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = ("--backend", backend) if command[0] == "bench" else (f"compute.backend={backend}",)
    code, _, err = murmur(*command, "--device", "cuda", *chosen)
    assert code == 2
    assert "device is 'cuda'" in err
    assert "docs/gpu.md" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.gpu
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_bench_on_a_gpu_measures_the_kernels(env: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = murmur(
        "bench", "train", "--json", "--setting", "throughput", "--env", env, "--device", "cuda", *FAST
    )
    assert code == 0, err
    result = json.loads(out)
    assert result["backend"] == "fused"
    assert result["device"].startswith("cuda")
    assert result["env_steps_per_s"]["median"] > 0


@pytest.mark.gpu
def test_training_on_a_gpu_learns_and_its_checkpoint_moves_to_the_cpu() -> None:
    settings = {"num_envs": 64, "rollout_steps": 64, "minibatch_size": 512, "epochs": 8, "learning_rate": 1e-3}
    gpu = make_ppo_agent("CartPole-v1", PpoSettings(device="cuda", backend="fused", **settings))  # type: ignore[arg-type]  # one dict, many types
    gpu.train(300_000, 1e9)
    cpu = make_ppo_agent("CartPole-v1", PpoSettings(device="cpu", backend="fused", **settings))  # type: ignore[arg-type]  # as above
    cpu.load(gpu.save())
    assert gpu.evaluate(100, 3) > 450
    assert cpu.evaluate(100, 3) == pytest.approx(gpu.evaluate(100, 3), rel=0.02)
