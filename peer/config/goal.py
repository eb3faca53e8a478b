"""Notice a goal that was left as it is for another environment: a run towards it may never end by its return."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from peer.config.schema import Config
from peer.config.sources import PRESETS_DIR, read_sources
from peer.config.tree import find, plain
from peer.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayGoal:
    """A goal made for another environment than that of the run.

    mean_return: the goal. made_for, env: the environment that it was made for, and that of the run.

    preset: the file that sets `env` up, None where there is none.
    """

    mean_return: float
    made_for: str
    env: str
    preset: Path | None

    def text(self) -> str:
        step = f"add -c {self.preset}, or set stop.mean_return" if self.preset else "set stop.mean_return"
        return (
            f"stop.mean_return is {self.mean_return:g}, made for {self.made_for}: if {self.env} cannot reach it, no"
            f" return ends the run; {step}"
        )


def stray_goal(config: Config, *, presets: Path = Path(PRESETS_DIR)) -> StrayGoal | None:
    """Return what is odd about `config`: another environment than by default, and the default's goal."""
    demo = Config()
    goal = config.stop.mean_return
    if goal is None or goal != demo.stop.mean_return or config.env.name == demo.env.name:
        return None
    preset = next(_presets_of(config.env.name, presets), None)
    return StrayGoal(mean_return=goal, made_for=demo.env.name, env=config.env.name, preset=preset)


def _presets_of(env: str, folder: Path) -> Iterator[Path]:
    for path in sorted(folder.glob("*.yaml")):
        with suppress(ConfigError):  # a file that cannot be read is no preset
            followed, node = find(read_sources([path], {}, []), ("env", "name"))
            if len(followed) == 2 and plain(node) == env:
                yield path
