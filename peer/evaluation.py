"""Evaluate a saved model file."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from peer.agents.first_model import tell_long_draw
from peer.errors import StorageError
from peer.native import NonFiniteError, PpoAgent, PpoSettings, make_ppo_agent
from peer.policy_description import check_size, described_settings
from peer.python_envs.names import is_python_env
from peer.python_envs.registration import register_env
from peer.python_envs.trust import register_env_of_file
from peer.storage.model_file import ModelFile, check_named, load_model, told_count
from peer.telemetry.plain_text import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a saved model comes to in greedy episodes; told: what its file says of it."""

    model: Path
    told: dict[str, str]
    seed: int
    returns: Sequence[float]

    @property
    def mean_return(self) -> float:
        return statistics.fmean(self.returns)

    def text(self) -> str:
        """Return one line for people."""
        when = f"round {self.told['round']}" if "round" in self.told else "one learner"
        where = printable(f"{when} of run {self.told.get('run', '?')}")
        spread = f"std {statistics.pstdev(self.returns):.1f}, {min(self.returns):.1f} to {max(self.returns):.1f}"
        return (
            f"{self.told['env']}: mean return {self.mean_return:.1f} over {len(self.returns)} greedy episodes"
            f" (seed {self.seed}; {where}; {spread})"
        )

    def json(self) -> str:
        """Return one object. std_return: of the population, as NumPy's."""
        return json.dumps(
            {
                "model": str(self.model),
                "env": self.told["env"],
                "run": self.told.get("run"),
                "round": told_count(self.told, "round"),
                "model_hash": self.told.get("model_hash"),
                "seed": self.seed,
                "episodes": len(self.returns),
                "mean_return": self.mean_return,
                "std_return": statistics.pstdev(self.returns),
                "min_return": min(self.returns),
                "max_return": max(self.returns),
                "returns": list(self.returns),
            },
            allow_nan=False,
        )


def evaluate_file(
    path: Path,
    *,
    episodes: int,
    seed: int,
    device: str,
    env: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Evaluation:
    """Play greedy episodes with the policy in `path`.

    env: its environment; None: whatever the file says, but for one that has a module of somebody imported.
    tell: takes what the user should know meanwhile.
    Raises: StorageError when the file cannot be used as a policy, or holds another model than it names; ValueError
    when `device` or `env` cannot; EnvFailedError.
    """
    file = load_model(path)
    _make_known(path, file.settings.get("env", ""), env)
    try:
        name, settings = file.settings["env"], described_settings(file.settings)
        agent = _agent(
            name, replace(settings, device="cpu"), file, tell
        )  # what fails here, fails for what the file holds
    except (KeyError, ValueError, TypeError) as error:
        raise StorageError(f"{path} does not fit its own description: {printable(str(error))}") from error
    check_named(path, file)
    if device != "cpu":
        agent = _agent(name, replace(settings, device=device), file, tell)
    try:
        returns = agent.evaluate_returns(episodes, seed)
    except NonFiniteError as error:
        raise StorageError(f"{path} holds a policy that cannot act: {error}") from error
    return Evaluation(model=path, told=file.settings, seed=seed, returns=returns)


def _make_known(path: Path, described: str, given: str | None) -> None:
    """Have the core know the environment that the file describes. Raises: ValueError."""
    named = printable(described)
    if given is None:
        register_env_of_file(described, file=path, consent=f"say --env {named}")
    elif given != described:
        raise ValueError(f"--env {given} contradicts {path}, which was trained in {named}")
    elif is_python_env(given):
        register_env(given)


def _agent(env: str, settings: PpoSettings, file: ModelFile, tell: Callable[[str], None]) -> PpoAgent:
    check_size(settings.hidden, file.state.params.size)
    tell_long_draw(env, settings, tell)
    agent = make_ppo_agent(env, settings)
    moments = file.state.moments
    agent.set_model(file.state.params, moments.count, moments.mean, moments.m2)
    return agent
