"""`murmur simulate` as a user meets it: exit codes, messages, the picture, the native agent."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from peer.commands.table import app
from peer.native import PpoSettings
from peer.simulation import run
from peer.simulation.native import NativeSubject

RUNNER = CliRunner()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--byzantine", "0.2:sign_flap"], "did you mean sign_flip?"),
        (["--latency", "fast"], "--latency: expected a duration such as 80ms"),
        (["--peers", "0"], "--peers: expected 1 to"),
        (["--partition", "5s:0.5"], "20s-40s:0.5"),
        (["--plot", "run.jpg"], "ends in .png"),
        (["round.train_ss=1"], "train_s"),
        (["--seed", "-1"], "--seed: expected 0 to"),
        (["--agent", "native", "--params", "64"], "leave --params out, or say model.hidden=[64,64]"),
        (["run.seed=3"], "command line 'run.seed=3' has no effect on this command: its seed is that of --seed"),
        (["stop.max_rounds=3"], "--rounds says how many there are"),
        (["network.port=3"], "its network is that of --latency, --loss and --partition"),
        (["ppo.epochs=3"], "the toy has no such thing, --agent native has"),
        (["--agent", "native", "compute.threads=2"], "each simulated peer has one thread"),
        (["--byzantine", "0.01:sign_flip", "--peers", "4"], "--byzantine: expected shares that come to a peer"),
    ],
)
def test_wrong_argument_is_one_line_and_exit_2(arguments: list[str], words: str) -> None:
    result = RUNNER.invoke(app, ["simulate", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_seeds_are_run_one_after_the_other_and_replay_alone() -> None:
    both = RUNNER.invoke(app, ["simulate", "--peers", "3", "--rounds", "3", "--seeds", "2", "--seed", "5", "--json"])
    alone = RUNNER.invoke(app, ["simulate", "--peers", "3", "--rounds", "3", "--seed", "6", "--json"])
    assert both.exit_code == alone.exit_code == 0
    assert both.stdout.splitlines()[1] == alone.stdout.splitlines()[0]
    assert json.loads(alone.stdout)["rounds_final"] == 3


def test_configuration_sets_the_timers() -> None:
    result = RUNNER.invoke(app, ["simulate", "--peers", "3", "--rounds", "4", "round.train_s=20"])
    assert result.exit_code == 0
    virtual_s = float(result.stdout.split(" rounds final in ")[1].split(" s")[0].replace(",", ""))
    assert virtual_s > 3 * 18, "the second round is a short one"
    assert result.stdout.endswith("--seed 1 round.train_s=20\n"), "the line that replays the run says so"


def test_line_that_replays_a_run_leaves_out_what_has_no_effect_on_it(tmp_path: Path) -> None:
    """It would be refused."""
    preset = tmp_path / "preset.yaml"
    preset.write_text(
        "{run: {seed: 7}, ppo: {epochs: 3}, compute: {threads: 2}, log: {time: true}, round: {grace_s: 5}}"
    )
    settings = ["-c", str(preset)]
    assert said(settings) == ["round.grace_s=5"]
    assert said([*settings, "--agent", "native", "stop.episodes=5"]) == [
        "ppo.epochs=3",
        "round.grace_s=5",
        "stop.episodes=5",
    ]


def test_line_that_replays_a_run_says_settings_of_files_and_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be read elsewhere, or here, where the implicit file says otherwise than the defaults."""
    for name, text in {
        "configs/config.yaml": "round: {train_s: 9, grace_s: 4}",
        "own.yaml": "round: {grace_s: 5}",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MURMUR_ROUND__ANTI_ENTROPY_S", "1.5")
    monkeypatch.setenv("MURMUR_STORAGE__DATA_DIR", "/elsewhere")
    assert said(["-c", "own.yaml"]) == ["round.train_s=2", "round.grace_s=5", "round.anti_entropy_s=1.5"]
    assert said([]) == ["round.train_s=9", "round.grace_s=4", "round.anti_entropy_s=1.5"]
    assert said(["round.grace_s=3"]) == ["round.train_s=9", "round.grace_s=3", "round.anti_entropy_s=1.5"]
    again = said(["round.grace_s=3"])
    (tmp_path / "configs/config.yaml").unlink()
    monkeypatch.delenv("MURMUR_ROUND__ANTI_ENTROPY_S")
    assert said(again) == ["round.train_s=9", "round.anti_entropy_s=1.5"], "grace_s is the default"


def said(arguments: list[str]) -> list[str]:
    """Return the settings in the line that replays a run."""
    result = RUNNER.invoke(app, ["simulate", "--peers", "2", "--rounds", "1", "--json", *arguments])
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout)["replay"].partition(" --seed 1")[2].split())


def test_title_of_the_picture_names_agent_liars_and_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    titles: list[str] = []
    monkeypatch.setattr(Figure, "suptitle", lambda _self, text, **_: titles.append(text))
    arguments = ["--byzantine", "0.25:nan", "--partition", "1s-3s:0.5", "--loss", "0.005"]
    RUNNER.invoke(app, ["simulate", "--peers", "4", "--rounds", "3", *arguments, "--plot", str(tmp_path / "run.png")])
    assert titles[0].splitlines()[:2] == [
        "4 peers (toy), 0.5% loss, 20 ms, seed 1",
        "1 of 4 lie: nan; cut 1s-3s:0.5",
    ]


def test_configuration_chooses_the_codec() -> None:
    arguments = ["simulate", "--json", "--peers", "3", "--rounds", "3", "--params", "4000"]
    plain, small = (
        json.loads(RUNNER.invoke(app, [*arguments, f"round.codec={codec}"]).stdout) for codec in ("float32", "int8")
    )
    assert plain["rounds_final"] == small["rounds_final"] == 3
    assert small["bytes_per_peer_per_round"] < plain["bytes_per_peer_per_round"] / 2


@pytest.mark.parametrize("choice", ["aggregation.rule=median", "aggregation.outer=nesterov"])
def test_configuration_chooses_the_aggregation(choice: str) -> None:
    arguments = ["simulate", "--peers", "5", "--rounds", "4", "--byzantine", "0.2:x1000"]
    default, chosen = RUNNER.invoke(app, arguments), RUNNER.invoke(app, [*arguments, choice])
    assert default.exit_code == chosen.exit_code == 0
    assert learning(chosen.stdout) != learning(default.stdout)


def learning(summary: str) -> str:
    return next(line for line in summary.splitlines() if "learning" in line)


def test_plot_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "run.png"
    result = RUNNER.invoke(app, ["simulate", "--peers", "3", "--rounds", "3", "--plot", str(file)])
    assert result.exit_code == 0
    assert file.read_bytes().startswith(b"\x89PNG")


def test_each_seed_has_a_plot_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["--peers", "2", "--rounds", "2", "--seed", "9", "--seeds", "2", "--plot", str(tmp_path / "run.png")]
    assert RUNNER.invoke(app, ["simulate", *arguments]).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-10.png", "run-9.png"]


def test_machine_that_crashes_leaves_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_swarm: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(run, "result_of", crash)
    result = RUNNER.invoke(app, ["simulate", "--peers", "2", "--rounds", "2", "--seed", "9"])
    assert isinstance(result.exception, ZeroDivisionError)
    assert result.exception.__notes__ == ["seed 9 failed; replay: murmur simulate --peers 2 --rounds 2 --seed 9"]


def test_native_agent_learns_the_same_bytes_twice() -> None:
    arguments = ["simulate", "--agent", "native", "--peers", "2", "--rounds", "3", "stop.episodes=5"]
    first, again = RUNNER.invoke(app, arguments), RUNNER.invoke(app, arguments)
    assert first.exit_code == 0
    assert first.stdout == again.stdout
    assert "learning    return 9." in first.stdout, "an untrained CartPole policy falls after nine steps"


def test_native_agent_that_diverges_is_counted_and_does_not_end_the_run() -> None:
    """The entropy bonus widens the policy at each of many steps until its actions are infinite."""
    settings = ["env.name=Pendulum-v1", "stop.episodes=1", "ppo.learning_rate=1", "ppo.entropy_coef=1", "ppo.epochs=30"]
    result = RUNNER.invoke(app, ["simulate", "--json", "--agent", "native", "--peers", "2", "--rounds", "2", *settings])
    found = json.loads(result.stdout)
    assert result.exit_code == 1, "nobody came to the last round"
    assert found["trainings_diverged"] > 0
    assert "had no final round" in found["failures"][0]


def test_policy_of_a_finite_model_that_gives_no_finite_action_has_no_return() -> None:
    subject = NativeSubject("CartPole-v1", PpoSettings(backend="fused", device="cpu"), episodes=1)
    huge = np.full(subject.schema.num_params, 3e38, np.float32)
    assert math.isnan(subject.evaluate(replace(subject.initial(), params=huge)))
