"""What a peer keeps of one run on disk: the chain, the last states of the model, the optimizer, the model.

It stands beside the identity, in a folder named after the run, the settings that all its peers share, and the version
of the protocol. So another configuration or version never meets state that it cannot use, and going back to the first
one goes on where that had stopped.
"""

import re
from pathlib import Path
from types import TracebackType
from typing import Self

from peer.agents.agent import Agent
from peer.common_model import common_schema
from peer.config.digest import agreed_text, differences, digest
from peer.config.schema import Config
from peer.errors import ProtocolError, StorageError
from peer.policy_description import describe_policy
from peer.round_parts import wire_run_id
from peer.rounds.entry import Entry
from peer.rounds.snapshot import decode_snapshot
from peer.services.archive import Archive
from peer.storage.about_file import About, read_about, write_about
from peer.storage.atomic_file import remove_leftovers
from peer.storage.journal import JOURNAL_FILE, Journal
from peer.storage.model_file import MODEL_FILE, ModelFile, load_model, save_model
from peer.storage.payloads import PAYLOADS_FOLDER, PayloadFolder
from peer.storage.snapshots import SNAPSHOTS_FOLDER, Snapshot, SnapshotStore
from peer.telemetry.disk_events import ModelSaved, OtherSettingsKept, OtherVersionKept, StateDamaged, StorageFailed
from peer.telemetry.process_events import StateRestored
from peer.telemetry.sink import EventSink
from peer.types import PeerId
from peer.wire.limits import PROTOCOL_VERSION

_DIGEST_DIGITS = 8
_VERSION_SUFFIX = f"-v{PROTOCOL_VERSION}"
_AFRESH = "starting from the initial model, or from the swarm's once others are met"


def run_folder_name(config: Config) -> str:
    """Return the folder's name, such as `cartpole-1f0c93ab-v5`; it changes with every key marked (=)."""
    return f"{config.run.name}-{digest(config).hex()[:_DIGEST_DIGITS]}{_VERSION_SUFFIX}"


class RunFolder:
    """The open folder of one run; close it, or leave its `with` block.

    Raises: StorageError when it can be neither opened nor created. Damage is reported to `sink` and survived.
    """

    def __init__(self, slot: Path, config: Config, *, sink: EventSink) -> None:
        self.path = slot / run_folder_name(config)
        self.training_file = self.path / "training.bin"
        self.model_file = self.path / MODEL_FILE
        self._config = config
        self._sink = sink
        for folder in (self.path, self.path / SNAPSHOTS_FOLDER, self.path / PAYLOADS_FOLDER):
            remove_leftovers(folder)  # a peer that is killed again and again would fill the disk
        self._journal = Journal(self.path / JOURNAL_FILE, max_bytes=config.storage.max_journal_bytes)
        self._snapshots = SnapshotStore(self.path / SNAPSHOTS_FOLDER, keep=config.storage.keep_snapshots)
        self.archive = Archive(
            self._journal,
            self._snapshots,
            payloads=PayloadFolder(self.path / PAYLOADS_FOLDER, max_bytes=config.storage.max_payload_bytes),
            save_model=self._write_model,
            snapshot_every=config.round.snapshot_every,
            sink=self._sink,
        )
        if self._journal.set_aside is not None:
            self._tell_damage(
                self.path / JOURNAL_FILE, "its content cannot be trusted", f"moved to {self._journal.set_aside}"
            )

    def describe(self, *, peer: PeerId, name: str) -> None:
        """Leave in the folder what `murmur log` needs to read it: whose it is, and the settings of the run."""
        try:
            write_about(self.path, About(peer=peer, name=name, settings=agreed_text(self._config)))
        except StorageError as error:
            self._sink.emit(StorageFailed(operation="describe the run's folder", cause=str(error)))

    def restore(self, agent: Agent) -> Entry | None:
        """Return the newest state that can be trusted, None when there is none; `agent` is ready to go on from it."""
        entry = self._newest_entry(agent)
        if entry is None:
            self._tell_earlier_state()
            return None
        try:
            if self.training_file.exists():
                agent.load(self.training_file)
        except StorageError as error:
            self._tell_damage(self.training_file, str(error), "the optimizer starts afresh, the model does not")
        self._sink.emit(StateRestored(round=entry.round, model=entry.model))
        return entry

    def save_model(self, entry: Entry) -> Path | None:
        """Write the model for `murmur eval` and others; return where, None when the disk refused it."""
        try:
            self._write_model(entry)
        except StorageError as error:
            self._sink.emit(StorageFailed(operation="save the model", cause=str(error)))
            return None
        return self.model_file

    def save_model_so_far(self, tip: Entry) -> None:
        """Leave the model of a run that goes on another time, and say where; nothing before the first round."""
        if tip.manifest is None:
            return
        path = self.save_model(tip)
        if path is not None:
            self._sink.emit(ModelSaved(round=tip.round, path=str(path)))

    def holds_model_of(self, entry: Entry) -> bool:
        """Return whether the file is of `entry`, and not of an earlier stop."""
        try:
            told = load_model(self.model_file).settings
        except StorageError:
            return False
        return (told.get("round"), told.get("model_hash")) == (str(entry.round), entry.model.hex())

    def close(self) -> None:
        try:
            self._journal.close()
        except StorageError as error:
            self._sink.emit(StorageFailed(operation="close the journal", cause=str(error)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_model(self, entry: Entry) -> None:
        assert entry.state is not None
        save_model(self.model_file, ModelFile(state=entry.state, settings=_description(self._config, entry)))

    def _newest_entry(self, agent: Agent) -> Entry | None:
        schema = common_schema(self._config, agent.schema)
        entries: list[Entry] = []

        def accept(found: Snapshot) -> None:
            try:
                entries.append(decode_snapshot(found.content, run=wire_run_id(self._config), schema=schema))
            except ProtocolError as error:
                raise StorageError(f"it is no state of this run: {error.detail}") from error

        loaded = self._snapshots.load_newest(accept)
        remedy = _AFRESH if loaded.snapshot is None else f"going back to the one of round {loaded.snapshot.round}"
        for damage in loaded.damaged:
            self._tell_damage(damage.path, damage.cause, remedy)
        return entries[0] if entries else None

    def _tell_earlier_state(self) -> None:
        """A peer that was upgraded, or whose keys marked (=) changed, begins anew beside what it has: name the newest.

        Else it would seem lost. Another version has mostly other keys, too, and so another digest in the name.
        """
        newest = max(self._other_folders(), key=lambda folder: folder.stat().st_mtime, default=None)
        if newest is None:
            return
        about = read_about(newest)
        if not newest.name.endswith(_VERSION_SUFFIX) or (about is not None and _is_of_other_keys(about)):
            self._sink.emit(OtherVersionKept(path=str(newest), remedy=_AFRESH))
            return
        differing = None if about is None else differences(about.settings, self._config)
        if differing is not None and differing.changed:
            self._sink.emit(OtherSettingsKept(path=str(newest), keys=differing.changed, remedy=_AFRESH))

    def _other_folders(self) -> list[Path]:
        """Return the folders of this run that are of other settings or versions; the first versions named none."""
        name = re.compile(re.escape(self._config.run.name) + rf"-[0-9a-f]{{{_DIGEST_DIGITS}}}(-v\d+)?")
        return [
            folder
            for folder in self.path.parent.iterdir()
            if folder != self.path and name.fullmatch(folder.name) and folder.is_dir()  # no link to what is not mounted
        ]

    def _tell_damage(self, path: Path, cause: str, remedy: str) -> None:
        self._sink.emit(StateDamaged(path=str(path), cause=cause, remedy=remedy))


def _is_of_other_keys(about: About) -> bool:
    """Tell whether a version with fewer keys marked (=), or with others, wrote it: nobody has changed those."""
    try:
        config = Config.model_validate_json(about.settings)
    except ValueError:
        return True
    differing = differences(about.settings, config)
    return differing is None or differing.is_of_other_keys


def _description(config: Config, entry: Entry) -> dict[str, str]:
    """Return what it takes to rebuild the policy, and where the model comes from."""
    return {
        **describe_policy(config),
        "run": config.run.name,
        "round": str(entry.round),
        "env_steps": str(entry.env_steps),
        "model_hash": entry.model.hex(),
    }
