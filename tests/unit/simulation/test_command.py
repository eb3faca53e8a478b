"""`murmur simulate` as a user meets it: exit codes, messages, the picture, the native agent."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from peer.cli import app
from peer.simulation import run

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
