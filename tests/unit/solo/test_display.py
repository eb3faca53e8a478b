"""The progress of `murmur train`, in a pipe and on a terminal."""

import io
import math
import re

import pytest
from rich.text import Text

from peer.solo.display import BarDisplay, LineDisplay, make_display
from peer.solo.run import Point, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def progress() -> Progress:
    curve = [Point(env_steps=12_288, train_s=2.0, greedy_return=321.5, train_return=math.nan)]
    return Progress(env_steps=12_288, train_s=2.0, train_return=99.25, curve=curve)


def test_a_pipe_gets_one_plain_line_an_evaluation() -> None:
    stream = io.StringIO()
    with make_display("CartPole-v1", target=475.0, max_env_steps=None, stream=stream) as display:
        assert isinstance(display, LineDisplay)
        display.trained(progress())
        assert stream.getvalue() == ""
        display.evaluated(progress())
    assert stream.getvalue() == (
        "CartPole-v1 | 12,288 env steps | greedy return 321.5 | training return - | 6,144 steps/s\n"
    )


@pytest.mark.parametrize("kind", ["dumb", "unknown"])
def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("TERM", kind)
    assert isinstance(make_display("CartPole-v1", target=475.0, max_env_steps=None, stream=Terminal()), LineDisplay)


def test_a_terminal_gets_a_bar_with_steps_speed_and_returns() -> None:
    stream = Terminal()
    display = make_display("CartPole-v1", target=475.0, max_env_steps=100_000, stream=stream)
    assert isinstance(display, BarDisplay)
    with display:
        display.trained(Progress())  # before the first evaluation
        display.evaluated(progress())
        display.say("murmur: the disk is [red]full")
    assert "murmur: the disk is [red]full" in stream.getvalue()
    shown = " ".join(stream.getvalue().split())
    for part in ("CartPole-v1", "greedy 321.5 of 475", "12.3k steps", "6,144/s", "train 99.2"):
        assert part in shown


def test_the_time_of_a_run_that_goes_on_includes_what_it_took_before() -> None:
    stream = Terminal()
    with make_display("CartPole-v1", target=475.0, max_env_steps=None, before_s=3725.0, stream=stream) as display:
        display.trained(progress())
    assert "1:02:05" in stream.getvalue()


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_a_stream_that_cannot_be_written_ends_no_run(kind: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise BrokenPipeError

    stream = kind()
    monkeypatch.setattr(stream, "write", broken)
    monkeypatch.setattr(stream, "flush", broken)
    with make_display("CartPole-v1", target=475.0, max_env_steps=None, stream=stream) as display:
        display.trained(progress())
        display.evaluated(progress())


def test_a_closed_stderr_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)  # as Python has it after `2>&-`
    with make_display("CartPole-v1", target=475.0, max_env_steps=None) as display:
        display.evaluated(progress())


@pytest.mark.parametrize("name", ["CartPole-v1", "MountainCarContinuous-v0"])
@pytest.mark.parametrize("width", [10, 20, 30, 40, 60, 80, 120])
def test_one_line_holds_whole_numbers_on_any_terminal(monkeypatch: pytest.MonkeyPatch, name: str, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    stream = Terminal()
    last = Progress(env_steps=123_456_789, train_s=60.0, train_return=-1234.5, curve=progress().curve)
    with make_display(name, target=475.0, max_env_steps=10**9, stream=stream) as display:
        display.trained(last)
        display.evaluated(last)
    lines = [Text.from_ansi(line).plain for line in re.split(r"[\r\n]+", stream.getvalue())]
    assert max(len(line.rstrip()) for line in lines) <= width
    if width >= 60:
        assert "…" not in lines[-2]
        assert "greedy 321.5 of 475" in lines[-2]
    if width >= 120:
        assert "123.5M steps | 2.1M/s | train -1234.5" in lines[-2]
        assert "━" in lines[-2]
