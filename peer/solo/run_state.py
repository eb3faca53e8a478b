"""The file beside a model from which `murmur train --resume` goes on: all of a run, to the last bit.

A frame of kind "SOLO" (peer/storage/atomic_file.py) around the length of a JSON object, big-endian u64, the object, and
what the core saves of its learner: parameters, optimizer, statistics, running episodes and random streams.
"""

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from peer.config.schema import Config
from peer.errors import StorageError
from peer.solo.run import Standing
from peer.storage.atomic_file import read_framed, write_framed
from peer.types import Seconds

SECTIONS = ("run", "env", "model", "ppo", "compute", "stop")
"""Those of the configuration that a lone learner reads."""

_KIND = b"SOLO"
_SUFFIX = ".state"
_LENGTH = struct.Struct(">Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The model that a run began with instead of random weights: its file, as typed, and its name."""

    file: str
    model_hash: str


@with_config(ConfigDict(strict=True, extra="forbid", ser_json_inf_nan="constants"))
@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run without its learner.

    settings: by section and key, as JSON. changes: what was set otherwise on the way, in words. max_env_steps,
    eval_env_steps: as in `TrainOptions`. model_name: of its file, which a copy has not, nor what was set aside.
    curve_file, tensorboard: seen from the model's folder. own_folder: whether the folder is the run's alone.
    backend: what computed last.
    """

    settings: Mapping[str, Mapping[str, Any]]  # Any: whatever JSON holds
    changes: tuple[str, ...] = ()
    max_env_steps: int | None = None
    eval_env_steps: int | None = None
    origin: Origin | None = None
    model_name: str
    curve_file: str | None = None
    tensorboard: str | None = None
    own_folder: bool = False
    backend: str = ""
    wall_s: Seconds = 0.0
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """learner: what the core saved when the run was where `record` says."""

    record: RunRecord
    learner: bytes


_RECORD = TypeAdapter(RunRecord)


def seen_from(folder: Path, path: Path) -> str:
    """Return `path` as a record names it. Behind a link, as to another disk, the way up is not the way down."""
    return os.path.relpath(Path(os.path.realpath(path.parent)) / path.name, os.path.realpath(folder))


def state_file(model_file: Path) -> Path:
    return model_file.with_name(model_file.name + _SUFFIX)


def model_of(state_file: Path) -> Path:
    """Return the file of the model that a state stands beside."""
    return state_file.with_name(state_file.name.removesuffix(_SUFFIX))


def save_run_state(path: Path, state: RunState) -> None:
    """Write atomically. Raises: StorageError; an older file stays."""
    head = _RECORD.dump_json(state.record)
    write_framed(path, _LENGTH.pack(len(head)) + head + state.learner, kind=_KIND)


def load_run_state(path: Path) -> RunState:
    """Raises: FileNotFoundError; StorageError when it is damaged or of another version."""
    payload = read_framed(path, kind=_KIND)
    length = int.from_bytes(payload[: _LENGTH.size], "big")
    head, learner = payload[_LENGTH.size :][:length], payload[_LENGTH.size :][length:]
    try:
        record = _RECORD.validate_json(head)
        _check(record)
    except ValidationError as error:
        raise StorageError(f"{path} is no run that this version can go on with: {_first(error)}") from error
    except ValueError as error:
        raise StorageError(f"{path} is no run that this version can go on with: {error}") from error
    return RunState(record=record, learner=learner)


def settings_of(config: Config) -> Mapping[str, Mapping[str, Any]]:
    values = config.model_dump(mode="json")
    return {section: values[section] for section in SECTIONS}


def config_of(record: RunRecord, *, source: Path) -> Config:
    """Return the settings of a run, all others by default. Raises: StorageError naming `source`."""
    try:
        return _CONFIG.validate_json(_SETTINGS.dump_json(dict(record.settings)))
    except ValidationError as error:
        raise StorageError(f"{source} has settings that this version does not know: {_first(error)}") from error


def _check(record: RunRecord) -> None:
    """Raises: ValueError naming a count or a time that no run has."""
    standing = record.standing
    times = {"wall_s": record.wall_s, "train_s": standing.train_s}
    counts = {"env_steps": standing.env_steps, "next_eval": standing.next_eval, "turn": standing.turn}
    for name, value in {**times, **counts}.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} is {value}")


_CONFIG = TypeAdapter(Config)
_SETTINGS = TypeAdapter(dict[str, Mapping[str, Any]])  # Any: as above


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].lower()}".removeprefix(": ")
