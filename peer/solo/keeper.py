"""What a run leaves on disk while it goes on and when it ends: its model, and the state that it can go on from."""

import filecmp
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from peer.config.schema import Config
from peer.errors import StorageError
from peer.native import PpoAgent, to_moments
from peer.policy_description import describe_policy
from peer.solo.run import Standing
from peer.solo.run_state import RunRecord, RunState, load_run_state, save_run_state, state_file
from peer.storage.model_file import ModelFile, load_model, save_model, told_count
from peer.storage_failures import storage_errors
from peer.types import ModelState, Seconds
from peer.wire.hashing import model_hash

SAVE_EVERY_S = 30.0
"""What a power cut costs at most, where the disk is fast enough."""

_MOST_OF_THE_TIME = 0.02
"""The share of a run that saving may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    model: ModelState
    state: RunState

    @property
    def env_steps(self) -> int:
        return self.state.record.standing.env_steps


class Keeper:
    """Saves a run at `path` every now and then; holds what is known to be sound: of the last evaluation, or of the end.

    A disk that fails while the run goes on costs what it would have held, and not the training.

    failure: why the state is not on disk as it was last to be saved; empty: it is. replaced: whether what stood at
    `path` was of another run, or further than this one; it is kept as `previous_file`.
    """

    def __init__(
        self,
        config: Config,
        agent: PpoAgent,
        path: Path,
        record: RunRecord,
        *,
        resumed: bool = False,
        is_behind: bool = False,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        """record: where the run stands, which `agent` does, too. resumed: what is found at `path` is the run's own.

        is_behind: the model there has learned from more than the run goes on from.
        """
        self.path = path
        self.resumed = resumed
        self.failure = ""
        self.replaced = False
        self._config = config
        self._agent = agent
        self._record = record
        self._clock = clock
        self._began = clock()
        self._due = self._began + SAVE_EVERY_S
        self._writing = threading.RLock()  # a second Ctrl-C saves in another thread, or in the middle of the last save
        self._may_replace = resumed and not is_behind
        self._on_disk = record.standing.env_steps if resumed else 0
        self.keep(record.standing)

    @property
    def env_steps(self) -> int:
        """Those that the model on disk has learned from, when `save` has ended."""
        return self._kept.env_steps

    @property
    def wall_s(self) -> Seconds:
        """Seconds since the run began, pauses left out."""
        return self._record.wall_s + self._clock() - self._began

    def keep(self, standing: Standing) -> None:
        self._kept = self._taken(standing)  # at once: another thread may save meanwhile

    def save_if_due(self, standing: Standing) -> str:
        """Called between chunks: an agent that trains must not be read.

        Return why that failed, where the user does not know it yet; empty: there is nothing to tell.
        """
        if self._clock() < self._due:
            return ""
        known = self.failure
        started = self._clock()
        try:
            self._write(self._taken(standing))
        except StorageError as error:
            self.failure = str(error)
        now = self._clock()
        self._due = now + max(SAVE_EVERY_S, (now - started) / _MOST_OF_THE_TIME)
        return "" if self.failure == known else self.failure

    def save(self) -> None:
        """Save what is kept. Raises: StorageError when it is the model that cannot be."""
        self._write(self._kept)

    def save_elsewhere(self) -> Path | None:
        """Save what is kept in a new folder for temporary files; return the model's file, None when that fails, too."""
        try:
            own = Path(tempfile.mkdtemp(prefix="murmur-"))
        except OSError:  # also where no folder for such files can be written, as on a machine with one disk
            return None
        model = own / self.path.name
        try:
            save_model(model, ModelFile(state=self._kept.model, settings=self._description(self._kept)))
            save_run_state(state_file(model), self._kept.state)
        except StorageError:
            shutil.rmtree(own, ignore_errors=True)
            return None
        return model

    def save_trained(self) -> None:
        """Save, unless nothing was evaluated since what is on disk. Raises: StorageError."""
        if self.env_steps > self._on_disk:
            self.save()

    def _taken(self, standing: Standing) -> _Kept:
        model = ModelState(params=self._agent.get_params(), moments=to_moments(self._agent.moments()))
        record = replace(self._record, standing=standing, wall_s=self.wall_s, backend=self._agent.backend_name)
        return _Kept(model=model, state=RunState(record=record, learner=self._agent.save()))

    def _write(self, kept: _Kept) -> None:
        """Write the state, and then the model: a run that is killed in between goes on from what is newer.

        Raises: StorageError when it is the model that cannot be written.
        """
        with self._writing:
            may_replace = self._may_replace
            if not may_replace:
                self.replaced = set_aside(self.path)
            try:
                save_run_state(state_file(self.path), kept.state)
                self.failure = ""
            except StorageError as error:
                self.failure = str(error)
                if not may_replace:  # else the model would stand beside the state of another run, which goes on over it
                    _remove(state_file(self.path))
            self._may_replace = True  # from here on no state of another run is there
            save_model(self.path, ModelFile(state=kept.model, settings=self._description(kept)))
            self._on_disk = kept.env_steps

    def _description(self, kept: _Kept) -> dict[str, str]:
        """Return what it takes to rebuild the policy, and where the model comes from."""
        origin = kept.state.record.origin
        return {
            **describe_policy(self._config),
            "run": self._config.run.name,
            "env_steps": str(kept.env_steps),
            "model_hash": model_hash(kept.model).hex(),
            **({} if origin is None else {"began_with": origin.model_hash}),
        }


def previous_file(model_file: Path) -> Path:
    """Return where an earlier run's model is kept when another one takes its place; its state goes beside it."""
    return model_file.with_name(f"{model_file.stem}.previous{model_file.suffix}")


def set_aside(model_file: Path) -> bool:
    """Keep what is found at `model_file` as `previous_file`, in place of what is kept there. It stays until replaced.

    Return whether there was anything. Raises: StorageError.
    """
    pairs = [(model_file, previous_file(model_file))]
    pairs += [(state_file(model), state_file(previous)) for model, previous in pairs]
    found = [file for file, _ in pairs if file.exists()]
    if not found:
        return False
    if is_set_aside(model_file):
        return True
    with storage_errors("keep the earlier run as", previous_file(model_file)):
        for _, previous in reversed(pairs):  # the state first: beside the next model it would pass for that one's
            previous.unlink(missing_ok=True)
        for file, previous in pairs:
            if file in found:
                _duplicate(file, previous)
    return True


def is_set_aside(model_file: Path) -> bool:
    """Return whether what is found at `model_file` is kept already, with the state it had.

    A run that is killed before it has written a model leaves that of the earlier run, beside a state of its own.
    """
    previous = previous_file(model_file)
    try:
        found, kept = (load_run_state(state_file(file)).record.standing.env_steps for file in (model_file, previous))
        return found <= kept and filecmp.cmp(model_file, previous, shallow=False)
    except (StorageError, OSError):
        return False


def earlier_env_steps(model_file: Path) -> int | None:
    """Return how many env steps what is found at `model_file` has learned from; None where that is not known."""
    try:
        return load_run_state(state_file(model_file)).record.standing.env_steps
    except (StorageError, FileNotFoundError):
        pass
    return model_env_steps(model_file)


def model_env_steps(model_file: Path) -> int | None:
    """Return how many env steps the model itself has learned from, whatever its state says; None: not known."""
    try:
        return told_count(load_model(model_file).settings, "env_steps")
    except StorageError:
        return None


def _remove(file: Path) -> None:
    with storage_errors("remove", file):
        file.unlink(missing_ok=True)


def _duplicate(file: Path, copy: Path) -> None:
    try:
        os.link(file, copy)
    except OSError:  # a file system without hard links
        shutil.copyfile(file, copy)
