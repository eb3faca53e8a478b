"""What a run came to, as text for people and as JSON for programs."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from peer.config.schema import Config
from peer.native import PpoSettings
from peer.python_envs.names import imports_foreign_module
from peer.solo.backend import parse_backend
from peer.solo.curve_file import CurveFile, point_values
from peer.solo.keeper import Keeper, previous_file
from peer.solo.run import Outcome
from peer.solo.run_state import RunRecord, state_file
from peer.solo.tensorboard import TensorBoardRun
from peer.types import Seconds

_FAILURES = ("diverged", "env_failed")
_EXIT_FAILED = 1

_HEADLINES = {
    "return": "solved",
    "env_steps": "stopped at the bound on env steps",
    "interrupted": "interrupted",
    "diverged": "training diverged",
    "env_failed": "the environment failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run of one learner came to.

    wall_s: evaluations included. model_env_steps: those that the saved model has learned from. record: the run as it
    stood at the beginning; resumed: which was not its first. keeper: has saved it. plot_failure: why the plot could not
    be written; empty: it is, or was not wanted.
    """

    config: Config
    settings: PpoSettings
    backend: str
    outcome: Outcome
    wall_s: Seconds
    model_env_steps: int
    record: RunRecord
    resumed: bool
    keeper: Keeper
    curve_file: CurveFile
    tensorboard: TensorBoardRun
    plot: Path | None
    plot_failure: str = ""

    @property
    def model_file(self) -> Path:
        return self.keeper.path

    @property
    def exit_code(self) -> int:
        return _EXIT_FAILED if self.outcome.reason in _FAILURES else 0

    def text(self) -> str:
        """Return a few lines: how it ended, how fast it was, where the model is."""
        progress = self.outcome.progress
        lines = [
            f"{self.config.env.name}: {_HEADLINES[self.outcome.reason]}; {self._returns()}",
            f"  {progress.env_steps:,} env steps in {progress.train_s:.2f} s of training"
            f" ({progress.steps_per_s:,.0f} steps/s), {self.wall_s:.2f} s with evaluations;"
            f" {self.backend}, threads: {self.settings.threads}",
        ]
        if self.outcome.reason == "diverged":
            lines.append(
                f"  cause: {self.outcome.cause}; a lower ppo.learning_rate or ppo.max_grad_norm may help."
                f" The saved model is the one of env step {self.model_env_steps:,}"
            )
        if self.outcome.reason == "env_failed":
            lines.append(f"  cause: {self.outcome.cause}")
        replaced = f"; what was there is kept as {previous_file(self.model_file)}" if self.keeper.replaced else ""
        lines.append(f"  model: {self.model_file} ({self._how_to_evaluate()}){replaced}")
        lines += self._how_to_go_on()
        if self.curve_file.path is not None:
            lines.append(f"  every evaluation: {self.curve_file.failure or self.curve_file.path}")
        if (run := self.tensorboard.folder) is not None:
            how = f"tensorboard --logdir {shlex.quote(str(run.parent))} (run {run.name})"
            lines.append(f"  TensorBoard: {self.tensorboard.failure or how}")
        if self.plot is not None:
            lines.append(f"  learning curve: {self.plot_failure or self.plot}")
        return "\n".join(lines)

    def json(self) -> str:
        """Return one object; a number that is not known is null."""
        progress = self.outcome.progress
        backend = parse_backend(self.backend)
        return json.dumps(
            {
                "env": self.config.env.name,
                "run": self.config.run.name,
                "seed": self.config.run.seed,
                "reason": self.outcome.reason,
                "cause": self.outcome.cause or None,
                "target": self.config.stop.mean_return,
                "greedy_return": self._last_greedy(),
                "env_steps": progress.env_steps,
                "train_s": progress.train_s,
                "wall_s": self.wall_s,
                "env_steps_per_s": progress.steps_per_s,
                "threads": self.settings.threads,
                "device": backend.device,
                "backend": backend.name,
                "kernels": backend.kernels,
                "model": str(self.model_file),
                "model_env_steps": self.model_env_steps,
                "model_replaced": self.keeper.replaced,
                "previous_model": str(previous_file(self.model_file)) if self.keeper.replaced else None,
                "state": None if self.keeper.failure else str(state_file(self.model_file)),
                "resumed_at_env_steps": self.record.standing.env_steps if self.resumed else None,
                "began_with": None if self.record.origin is None else self.record.origin.file,
                "curve_file": str(self.curve_file.path) if self.curve_file.path else None,
                "tensorboard": None if self.tensorboard.folder is None else str(self.tensorboard.folder),
                "plot": None if self.plot is None or self.plot_failure else str(self.plot),
                "curve": [point_values(point) for point in progress.curve],
            },
            allow_nan=False,
        )

    def _how_to_evaluate(self) -> str:
        env = self.config.env.name
        named = f" --env {shlex.quote(env)}" if imports_foreign_module(env) else ""
        return f"murmur eval {shlex.quote(str(self.model_file))}{named}"

    def _how_to_go_on(self) -> list[str]:
        if self.keeper.failure:
            return [f"  its state is not saved, so this run cannot go on from here: {self.keeper.failure}"]
        idle = self.outcome.progress.env_steps == self.record.standing.env_steps
        more = {
            "return": " stop.mean_return=null" if idle else None,
            "interrupted": "",
            "env_failed": "",
            "env_steps": f" --env-steps {2 * self.outcome.progress.env_steps}",
            "diverged": f" ppo.learning_rate={self.settings.learning_rate / 2:g}",
        }[self.outcome.reason]
        if more is None:
            return []
        env = self.config.env.name
        named = f" {shlex.quote(f'env.name={env}')}" if imports_foreign_module(env) else ""
        return [f"  to go on: murmur train --resume -o {shlex.quote(str(self.model_file))}{named}{more}"]

    def _last_greedy(self) -> float | None:
        curve = self.outcome.progress.curve
        return curve[-1].greedy_return if curve else None

    def _returns(self) -> str:
        greedy, target = self._last_greedy(), self.config.stop.mean_return
        wanted = "" if target is None else f" (target {target:g})"
        if greedy is None:
            return "no evaluation yet"
        best = max(self.outcome.progress.curve, key=lambda point: point.greedy_return)
        better = (
            f"; best {best.greedy_return:.1f} at {best.env_steps:,} env steps" if best.greedy_return > greedy else ""
        )
        return f"greedy return {greedy:.1f}{wanted}{better}"
