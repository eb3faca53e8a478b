import io
import math

from peer.solo.display import BarDisplay, LineDisplay, make_display
from peer.solo.run import Point, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


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


def test_a_terminal_gets_a_bar_with_steps_speed_and_returns() -> None:
    stream = Terminal()
    display = make_display("CartPole-v1", target=475.0, max_env_steps=100_000, stream=stream)
    assert isinstance(display, BarDisplay)
    with display:
        display.trained(Progress())  # before the first evaluation
        display.evaluated(progress())
    shown = " ".join(stream.getvalue().split())
    for part in ("CartPole-v1", "12,288 env steps", "6,144 steps/s", "99.2"):
        assert part in shown
