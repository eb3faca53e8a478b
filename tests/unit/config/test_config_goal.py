"""A goal that was left as it is for another environment."""

from pathlib import Path

import pytest

from peer.config.goal import StrayGoal, stray_goal
from peer.config.load import load_config

CONFIGS = Path(__file__).parents[3] / "configs"
PRESETS = {path.name: path for path in CONFIGS.glob("*.yaml")}


def test_goal_of_the_demo_in_another_env_is_told_with_the_preset_of_that_env() -> None:
    odd = stray_goal(load_config([], {}, ["env.name=Pendulum-v1"]), presets=CONFIGS)
    assert odd == StrayGoal(
        mean_return=475.0, made_for="CartPole-v1", env="Pendulum-v1", preset=CONFIGS / "pendulum.yaml"
    )
    assert odd.text().endswith(f"add -c {CONFIGS / 'pendulum.yaml'}, or set stop.mean_return")


def test_where_there_is_no_preset_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("env: [")
    odd = stray_goal(load_config([], {}, ["env.name=Pendulum-v1"]), presets=tmp_path)
    assert odd is not None
    assert odd.text().endswith("no return ends the run; set stop.mean_return")


@pytest.mark.parametrize("given", [(), ("stop.mean_return=100",), ("env.name=Pendulum-v1", "stop.mean_return=null")])
def test_goal_that_was_chosen_is_not_odd(given: tuple[str, ...]) -> None:
    assert stray_goal(load_config([], {}, given), presets=CONFIGS) is None


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_has_an_odd_goal(preset: str) -> None:
    assert stray_goal(load_config([PRESETS[preset]], {}, []), presets=CONFIGS) is None
