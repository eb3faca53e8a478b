"""The comparison's own arithmetic and order; no rival is installed or run here."""

import subprocess
from pathlib import Path

import pytest

from benchmarks import versus
from benchmarks.rivals import environments
from benchmarks.rivals.contestants import CONTESTANTS, OURS, Contestant, ContestantError, Rate, Scenario, run_once
from benchmarks.rivals.environments import InstallError
from benchmarks.rivals.figure import draw
from benchmarks.rivals.results import short, summarize, table
from benchmarks.rivals.stretch import SETTINGS as THEIRS
from peer.solo.settings import SETTINGS, BenchOptions, train_config

CLASSIC = Scenario(env="CartPole-v1", setting="classic", threads=1)


def rates(*walls: float) -> list[Rate]:
    return [Rate(wall=wall, cpu=2 * wall) for wall in walls]


def answer(text: str, *, code: int = 0, stderr: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(args=[], returncode=code, stdout=text, stderr=stderr)


def test_a_ratio_is_our_median_over_theirs() -> None:
    result = summarize(CLASSIC, {OURS: rates(100.0, 300.0, 200.0), "other": rates(10.0, 5.0, 90.0)})
    ours, other = result.rows
    assert (ours.ratio, other.ratio) == (1.0, 20.0)
    assert (other.wall.median, other.wall.min, other.wall.max, other.runs) == (10.0, 5.0, 90.0, 3)
    assert other.cpu.median == 20.0


def test_who_never_ran_is_left_out_and_without_us_there_is_no_ratio() -> None:
    result = summarize(CLASSIC, {OURS: [], "other": rates(10.0)})
    assert [(row.name, row.ratio) for row in result.rows] == [("other", None)]
    assert "other" in table(result)


def test_everybody_is_measured_at_the_same_settings() -> None:
    assert set(SETTINGS) == set(THEIRS)
    for name, theirs in THEIRS.items():
        ours = train_config(BenchOptions(setting=name)).ppo
        assert (ours.num_envs, ours.rollout_steps) == (theirs.num_envs, theirs.rollout_steps)
        assert (ours.epochs, ours.minibatch_size) == (theirs.epochs, theirs.minibatch_size)


def test_contestants_take_turns_and_one_that_fails_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []

    def run(contestant: Contestant, _scenario: Scenario, *, seconds: float) -> Rate:
        order.append(contestant.name)
        if contestant.name == "broken":
            raise ContestantError("broken ended with exit code 1: no such thing")
        return Rate(wall=seconds, cpu=seconds)

    monkeypatch.setattr(versus, "run_once", run)
    three = [Contestant(name="a"), Contestant(name="broken"), Contestant(name="b"), Contestant(name="c", envs=("X",))]
    result = versus.compare(CLASSIC, three, rounds=3, seconds=2.0)
    assert order == ["a", "broken", "b", "a", "b", "a", "b"]
    assert [(row.name, row.runs) for row in result.rows] == [("a", 3), ("b", 3)]
    assert "left out: broken ended with exit code 1" in capsys.readouterr().err


def test_a_rival_that_cannot_be_installed_is_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(name: str) -> tuple[Path, Path]:
        raise InstallError(f"'pip install {name}' failed")

    monkeypatch.setattr(versus, "prepare", refuse)
    assert [each.name for each in versus.usable(list(CONTESTANTS))] == [
        each.name for each in CONTESTANTS if each.name.startswith(OURS)
    ]
    assert "'pip install envpool' failed" in capsys.readouterr().err


def test_a_failed_step_of_an_installation_names_the_log(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"install\.log"):
        environments._run(["false"], log=tmp_path / "install.log")
    assert "$ false" in (tmp_path / "install.log").read_text()


@pytest.mark.parametrize(
    ("text", "wall"),
    [
        ('noise\n{"env_steps_per_s": 5, "env_steps_per_cpu_s": 6.5}\n', 5.0),
        ('{"env_steps_per_s": {"median": 7.5, "min": 1, "max": 9}, "env_steps_per_cpu_s": {"median": 2}}', 7.5),
    ],
)
def test_the_last_line_is_the_result(monkeypatch: pytest.MonkeyPatch, text: str, wall: float) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: answer(text))
    assert run_once(CONTESTANTS[0], CLASSIC, seconds=1.0).wall == wall


@pytest.mark.parametrize("text", ["", "killed", "[]", '{"env_steps_per_s": "fast", "env_steps_per_cpu_s": 1}', "{}"])
def test_no_result_is_an_error_with_the_programs_last_words(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    broken = answer(text, code=3, stderr="ImportError: no such module")
    monkeypatch.setattr(subprocess, "run", lambda *_args, **_kwargs: broken)
    with pytest.raises(ContestantError, match="exit code 3: ImportError: no such module"):
        run_once(CONTESTANTS[0], CLASSIC, seconds=1.0)


def test_labels_are_short() -> None:
    assert [short(rate) for rate in (950.0, 15_234.0, 999_999.0, 1_310_000.0)] == ["0.9k", "15.2k", "1000.0k", "1.31M"]


def test_the_figure_is_drawn_for_any_number_of_scenarios(tmp_path: Path) -> None:
    one = summarize(CLASSIC, {OURS: rates(9e5, 1e6), "other": rates(1e4)})
    for count in (1, 3):
        path = tmp_path / f"{count}.png"
        draw(path, [one] * count, footer="machine")
        assert path.read_bytes().startswith(b"\x89PNG")
