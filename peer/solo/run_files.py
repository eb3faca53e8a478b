"""The files that a run of one learner writes: what must be known of them before it begins."""

import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from peer.config.schema import Config
from peer.solo.curve_file import CurveFile
from peer.solo.keeper import earlier_env_steps, is_set_aside, model_env_steps, previous_file
from peer.solo.options import TrainOptions
from peer.solo.plot import check_plot
from peer.solo.run_state import RunRecord, state_file
from peer.solo.settings_file import SETTINGS_FILE, save_settings
from peer.solo.writer_lock import sole_writer
from peer.storage.model_file import MODEL_FILE
from peer.storage_failures import check_writable_file
from peer.telemetry.plain_text import printable

_DIGEST_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """The files that a run writes, beside its state. None: not written."""

    model: Path
    curve: Path | None
    plot: Path | None

    def check(self, options: TrainOptions) -> None:
        """Raises: ValueError, StorageError when one of them could not be written, or a run's state not name it."""
        start = None if options.start is None else options.start.path
        _check_text(
            {
                "--from": start,
                "-o": self.model,
                "--plot": self.plot,
                "--curve": self.curve,
                "--tensorboard": options.tensorboard,
            }
        )
        if self.plot is not None:
            check_plot(self.plot)
        check_writable_file("write the model", self.model)
        state = state_file(self.model)
        _check_distinct(
            {
                "--from": start,
                "-o": self.model,
                "the state of the run": state,
                "--plot": self.plot,
                "--curve": self.curve,
                "what -o replaces": previous_file(self.model) if start is not None else None,
            }
        )
        check_writable_file("write the state of the run", state)
        if self.curve is not None:
            check_writable_file("write the learning curve", self.curve)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs from these files in this block. Raises: StorageError naming the process that writes one."""
        with ExitStack() as stack:
            stack.enter_context(sole_writer(self.model, option="-o", beside=(state_file(self.model),)))
            for option, path in (("--curve", self.curve), ("--plot", self.plot)):
                if path is not None:
                    stack.enter_context(sole_writer(path, option=option))
            yield

    def open(self, config: Config, record: RunRecord) -> CurveFile:
        """Write what is known from the beginning; return the curve, to write on. Raises: StorageError."""
        if record.own_folder:
            save_settings(self.model.with_name(SETTINGS_FILE), config, _arguments(record), record.changes)
        return CurveFile(self.curve, record.standing.curve)


def default_model_file(config: Config, options: TrainOptions) -> Path:
    """Return a file that only a run of the same settings writes, too.

    The digest that peers compare would not do: it leaves out what each of them may choose, as the learning rate.
    """
    values = config.model_dump(mode="json")
    settings = {
        **{section: values[section] for section in ("run", "env", "model", "ppo", "stop")},
        **{key: values["compute"][key] for key in ("device", "backend")},
        "env_steps": options.max_env_steps,
        "eval_steps": options.eval_env_steps,
        **({} if options.start is None else {"from": options.start.origin.model_hash}),
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    name = f"{config.run.name}-{digest[:_DIGEST_DIGITS]}"
    return Path(config.storage.data_dir) / "train" / name / MODEL_FILE


def what_is_replaced(model_file: Path) -> str | None:
    """Return what a user should know who does not want to replace what is found at `model_file`."""
    state = state_file(model_file)
    if not (model_file.exists() or state.exists()):
        return None
    steps = earlier_env_steps(model_file)
    previous = previous_file(model_file)
    instead = _instead(previous)
    how = (
        f"; to go on with it instead: murmur train --resume -o {shlex.quote(str(model_file))}" if state.exists() else ""
    )
    what = "an earlier file" if steps is None else f"an earlier run of {steps:,} env steps"
    return f"murmur: {model_file}: {what} will be kept as {previous.name}{instead}, and a new one begins{how}"


def model_ahead(model_file: Path, *, env_steps: int) -> str | None:
    """Return what a user should know where the model at `model_file` has learned from more than its state: `env_steps`.

    The disk took the model and refused the state: to go on from there is to go back.
    """
    learned = model_env_steps(model_file)
    if learned is None or learned <= env_steps or is_set_aside(model_file):
        return None
    previous = previous_file(model_file)
    return (
        f"murmur: {model_file} itself has learned from {learned:,} env steps; its state was not saved then, so that"
        f" model will be kept as {previous.name}{_instead(previous)}"
    )


def _instead(previous: Path) -> str:
    return " in place of what is kept there" if previous.exists() or state_file(previous).exists() else ""


def _arguments(record: RunRecord) -> str:
    """Return those options that decide what is learned, as they are typed."""
    values = {
        "--from": None if record.origin is None else printable(shlex.quote(record.origin.file)),
        "--env-steps": record.max_env_steps,
        "--eval-steps": record.eval_env_steps,
    }
    return " ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def _check_text(files: dict[str, Path | None]) -> None:
    """Raises: ValueError for a name that is no text, as a state and a summary are."""
    for option, path in files.items():
        try:
            str(path).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{option} expects a name in UTF-8, got {str(path)!r}") from error


def _check_distinct(files: dict[str, Path | None]) -> None:
    """Raises: ValueError when two options name one file, of which one would be lost."""
    named: dict[Path, str] = {}
    for option, path in files.items():
        if path is not None and (other := named.setdefault(Path(os.path.realpath(path)), option)) != option:
            raise ValueError(f"{other} and {option} both name {path}: give each a file of its own")
