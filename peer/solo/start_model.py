"""A saved model that a run begins with instead of random weights: `murmur train --from`."""

import re
from dataclasses import dataclass
from pathlib import Path

from peer.config.schema import Config
from peer.errors import ConfigError, StorageError
from peer.native import PpoAgent
from peer.policy_description import check_size, describe_policy, described_settings
from peer.python_envs.names import imports_foreign_module
from peer.solo.run_state import Origin
from peer.storage.model_file import ModelFile, check_named, load_model
from peer.telemetry.plain_text import printable
from peer.wire.hashing import model_hash

_KEYS = {
    "env": "env.name",
    "hidden": "model.hidden",
    "activation": "model.activation",
    "shared_trunk": "model.shared_trunk",
    "normalize_observations": "ppo.normalize_observations",
    "observation_clip": "ppo.observation_clip",
}
"""What a model file says of its policy (peer/policy_description.py), and the setting that each is."""

_RUN_NAME = re.compile(r"[a-z0-9-]{1,48}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartModel:
    """settings: `section.key=value` lines that the model was trained with, and that the run must have, too.

    usual: the same and those that it may have otherwise.
    """

    path: Path
    model: ModelFile
    settings: tuple[str, ...]

    @property
    def usual(self) -> tuple[str, ...]:
        """An environment that would have a module imported is the user's to name, and not the file's."""
        given = [line for line in self.settings if not line.startswith("env.name=") or self._env_is_harmless()]
        run = self.model.settings.get("run", "")
        return (*given, f"run.name={run}") if _RUN_NAME.fullmatch(run) else tuple(given)

    def _env_is_harmless(self) -> bool:
        return not imports_foreign_module(self.model.settings["env"])

    @property
    def origin(self) -> Origin:
        return Origin(file=str(self.path), model_hash=model_hash(self.model.state).hex())

    def check_fits(self, config: Config) -> None:
        """Raises: ConfigError with a line for every setting that makes another policy of the same numbers."""
        wanted = dict(line.split("=", 1) for line in self.settings)
        own = dict(line.split("=", 1) for line in _settings(describe_policy(config)))
        problems = [self._differs(key, own[key], wanted[key]) for key in wanted if wanted[key] != own[key]]
        if problems:
            raise ConfigError("\n".join(problems))

    def _differs(self, key: str, own: str, wanted: str) -> str:
        way_out = f"leave {key} out, or set it to {wanted}"
        if key == "env.name" and not self._env_is_harmless():
            way_out = f"say {key}={wanted} if that module is yours: it is imported"
        return f"{key}: {self.path} was trained with {wanted}, got {own}; {way_out}"

    def give(self, agent: PpoAgent) -> None:
        """Give `agent` the weights and the statistics; its optimizer begins afresh. Raises: StorageError."""
        moments = self.model.state.moments
        try:
            agent.set_model(self.model.state.params, moments.count, moments.mean, moments.m2)
        except (ValueError, TypeError) as error:
            raise _unfit(self.path, error) from error


def load_start_model(path: Path) -> StartModel:
    """Raises: StorageError when the file cannot be used as a policy, or holds another model than it names."""
    file = load_model(path)
    try:
        settings = tuple(_settings(file.settings))
        check_size(described_settings(file.settings).hidden, file.state.params.size)
    except (KeyError, ValueError) as error:
        raise _unfit(path, error) from error
    check_named(path, file)
    return StartModel(path=path, model=file, settings=settings)


def _settings(description: dict[str, str]) -> list[str]:
    read = described_settings(description)
    values: dict[str, object] = {
        "env": description["env"],
        "hidden": f"[{','.join(map(str, read.hidden))}]",
        "activation": read.activation,
        "shared_trunk": str(read.shared_trunk).lower(),
        "normalize_observations": str(read.normalize_observations).lower(),
        "observation_clip": read.observation_clip,
    }
    return [f"{key}={printable(str(values[name]))}" for name, key in _KEYS.items()]


def _unfit(path: Path, error: Exception) -> StorageError:
    return StorageError(f"{path} does not fit its own description: {printable(str(error))}")
