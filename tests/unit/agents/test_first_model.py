"""What is told before a first model is drawn: how many weights it has, and only where it takes long."""

import numpy as np
import pytest

from peer.agents import first_model
from peer.agents.first_model import LongDraw, long_draw
from peer.native import PpoSettings, make_ppo_agent

WIDE = (2048, 2048)


@pytest.mark.parametrize("hidden", [(64, 64), (512, 512), (4096,)])
def test_what_is_drawn_in_a_moment_is_worth_no_word(hidden: tuple[int, ...]) -> None:
    assert long_draw("CartPole-v1", PpoSettings(hidden=hidden)) is None


def test_time_grows_with_the_cube_of_the_width() -> None:
    apart = long_draw("CartPole-v1", PpoSettings(hidden=WIDE))
    shared = long_draw("CartPole-v1", PpoSettings(hidden=WIDE, shared_trunk=True))
    half = long_draw("CartPole-v1", PpoSettings(hidden=(1024, 1024)))
    assert apart is not None
    assert shared is not None
    assert half is not None
    assert 10.0 < apart.about_s < 60.0
    assert apart.about_s == pytest.approx(2 * shared.about_s, rel=1e-3)
    assert apart.about_s == pytest.approx(8 * half.about_s, rel=1e-2)


@pytest.mark.parametrize("shared_trunk", [False, True])
@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_weights_are_those_that_the_core_draws(
    env: str, monkeypatch: pytest.MonkeyPatch, *, shared_trunk: bool
) -> None:
    monkeypatch.setattr(first_model, "_LONG_S", 0.0)
    settings = PpoSettings(hidden=(16, 9), shared_trunk=shared_trunk)
    draw = long_draw(env, settings)
    assert draw is not None
    assert draw.weights == np.count_nonzero(make_ppo_agent(env, settings).get_params()), "biases and log_std are 0"


@pytest.mark.parametrize(("about_s", "time"), [(2.4, "2 s"), (89.0, "89 s"), (91.0, "2 min"), (601.0, "10 min")])
def test_time_is_rounded(about_s: float, time: str) -> None:
    text = LongDraw(weights=6_300_000, about_s=about_s).text()
    assert text == f"drawing the 6.3M first weights, which takes about {time}"
