"""Which run `murmur train --resume` goes on with, and whether it can with the settings that are asked for now."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from peer.config.overrides import differing
from peer.config.schema import Config
from peer.config.sources import Base
from peer.errors import ConfigError, StorageError
from peer.native import CheckpointError, PpoAgent
from peer.python_envs.names import imports_foreign_module
from peer.solo.curve_file import CURVE_FILE, is_curve
from peer.solo.options import TrainOptions
from peer.solo.run_state import (
    RunRecord,
    RunState,
    config_of,
    load_run_state,
    model_of,
    seen_from,
    settings_of,
    state_file,
)
from peer.solo.writer_lock import require_no_writer
from peer.storage.model_file import MODEL_FILE, load_model
from peer.storage_failures import storage_errors

_FIXED_SECTIONS = ("run", "env", "model")
_FIXED_KEYS = ("ppo.num_envs", "ppo.normalize_observations", "ppo.normalize_rewards", "ppo.kl_penalty")
"""What a run's state means something else without, or nothing; all other settings may change on the way."""

LoadOver = Callable[[Base], Config]
"""Returns what the user has set, over settings that are set already. Raises: ConfigError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """A run to go on with. changes: settings that are others from here on, in words; those before are in its record."""

    model_file: Path
    state: RunState
    config: Config
    changes: tuple[str, ...]

    def record(self, options: TrainOptions) -> RunRecord:
        """Return where the run stands, with what `options` says otherwise."""
        before, model_file = self.state.record, self.model_file
        same_name = model_file.name == before.model_name  # else the files beside are those of another run
        own_folder = before.own_folder and same_name
        curve_file = CURVE_FILE if own_folder else None
        if same_name and before.curve_file is not None and is_curve(model_file.parent / before.curve_file):
            curve_file = before.curve_file
        if options.curve_file is not None:
            curve_file = seen_from(model_file.parent, options.curve_file)
        tensorboard = before.tensorboard if same_name else None
        standing = before.standing
        if options.eval_env_steps not in (None, before.eval_env_steps):
            standing = replace(standing, next_eval=standing.env_steps)  # the new schedule begins here
        return replace(
            before,
            settings=settings_of(self.config),
            changes=(*before.changes, *self.changes),
            max_env_steps=options.max_env_steps or before.max_env_steps,
            eval_env_steps=options.eval_env_steps or before.eval_env_steps,
            model_name=model_file.name,
            curve_file=curve_file,
            tensorboard=tensorboard,
            own_folder=own_folder,
            standing=standing,
        )

    def require_unchanged(self) -> None:
        """Raises: StorageError when another process has gone on with the run since it was read here."""
        path = state_file(self.model_file)
        try:
            is_same = _load(path).record.standing.env_steps == self.state.record.standing.env_steps
        except FileNotFoundError:
            is_same = False
        if not is_same:
            raise StorageError(f"{path} was replaced meanwhile, by another murmur train or by hand: try once more")

    def restore(self, agent: PpoAgent) -> None:
        """Bring `agent` to where the run ended. Raises: StorageError."""
        path, record = state_file(self.model_file), self.state.record
        try:
            agent.load(self.state.learner)
        except CheckpointError as error:
            raise StorageError(f"{path} cannot be gone on with: {error}") from error
        if agent.env_steps != record.standing.env_steps:
            raise StorageError(
                f"{path} cannot be gone on with: its learner has made {agent.env_steps:,} env steps, the run"
                f" {record.standing.env_steps:,}"
            )


def resume_at(model_file: Path, load: LoadOver) -> Resumption:
    """Return the run whose model is, or will be, at `model_file`, or in that folder.

    Raises: StorageError when there is none, or its state is damaged; ConfigError with a line for every setting that
    must be the run's and is not.
    """
    with storage_errors("look for a run at", model_file):
        if model_file.is_dir():
            model_file = model_file / MODEL_FILE
    path = state_file(model_file)
    try:
        state = _load(path)
    except FileNotFoundError:
        require_no_writer(model_file)
        raise StorageError(f"there is no run to go on with: {path} is missing{_way_out(model_file)}") from None
    return _resumption(path, state, load)


def resume_last(data_dir: Path, load: LoadOver) -> Resumption:
    """Return, of the runs in `data_dir` that have the settings asked for, the one that was written to last.

    Raises: as above, for the last one of all when none has them.
    """
    refusals: list[ConfigError] = []
    for path in _states(data_dir):
        try:
            state = _load(path)
        except FileNotFoundError:  # removed meanwhile
            continue
        try:
            return _resumption(path, state, load)
        except ConfigError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]
    raise StorageError(
        f"there is no run to go on with in {data_dir / 'train'}: leave --resume out, or name its model (-o)"
    )


def _require_consent(path: Path, before: Config, load: LoadOver) -> None:
    """Raises: ConfigError where the run would have a module imported that the user has not named."""
    name = before.env.name
    if imports_foreign_module(name) and load(Base(source=str(path), lines=[])).env.name != name:
        raise ConfigError(
            f"env.name: {path} was trained with {name}; say env.name={name} if that module is yours: it is imported"
        )


def _states(data_dir: Path) -> list[Path]:
    with storage_errors("look for runs in", data_dir):
        found = data_dir.glob(f"train/*/{state_file(Path(MODEL_FILE)).name}")
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _load(path: Path) -> RunState:
    try:
        return load_run_state(path)
    except StorageError as error:
        raise StorageError(f"{error}{_way_out(model_of(path))}") from error


def _way_out(model_file: Path) -> str:
    try:
        load_model(model_file)
    except StorageError:
        return ""
    return f"; --from {model_file} begins a run with the weights in there"


def _resumption(path: Path, state: RunState, load: LoadOver) -> Resumption:
    model_file = model_of(path)
    before = config_of(state.record, source=path)
    _require_consent(path, before, load)
    config = load(Base(source=str(path), lines=differing(before, bases=[Config()])))
    problems = list(_problems(before, config, model_file))
    if problems:
        raise ConfigError("\n".join(problems))
    step = state.record.standing.env_steps
    changes = tuple(
        f"{key} was {old} until env step {step:,}" for key, old, _ in _differences(before, config) if key[:4] == "ppo."
    )
    return Resumption(model_file=model_file, state=state, config=config, changes=changes)


def _problems(before: Config, now: Config, model_file: Path) -> Iterator[str]:
    for key, old, new in _differences(before, now):
        if key in _FIXED_KEYS or key.partition(".")[0] in _FIXED_SECTIONS:
            yield (
                f"{key}: the run of {model_file} has {old}, and cannot go on with {new}; leave {key} out, or begin"
                f" another run (--from takes over what this one has learned)"
            )


def _differences(before: Config, now: Config) -> Iterator[tuple[str, str, str]]:
    """Yield key, value before and value now of the settings that a lone learner reads."""
    old = dict(line.split("=", 1) for line in differing(before, bases=[now]))
    new = dict(line.split("=", 1) for line in differing(now, bases=[before]))
    sections = settings_of(now)
    return ((key, old[key], new[key]) for key in old if key.partition(".")[0] in sections)
