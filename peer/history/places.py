"""Find the journal that a user means, and what the peers in it are called."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from peer.errors import StorageError
from peer.storage.about_file import About, read_about
from peer.storage.journal import JOURNAL_FILE
from peer.storage.journal_reader import open_journal_reader
from peer.storage.model_file import MODEL_FILE, WHO_SAVES
from peer.storage.names_file import load_names
from peer.storage.slots import require_open_slots
from peer.storage_failures import storage_errors
from peer.telemetry.names import NameBook
from peer.types import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlace:
    """A folder with a journal. others: folders of other runs that could have been meant."""

    folder: Path
    about: About | None
    names: NameBook
    others: tuple[Path, ...]

    @property
    def journal(self) -> Path:
        return self.folder / JOURNAL_FILE


def find_run(data_dir: Path, *, slot: int | None, run: str | None) -> RunPlace:
    """Return the run in `data_dir` that was written to last, of one slot or of all, and holds a round.

    A start that failed leaves a journal without rounds, newer than that of the run that its user means.

    data_dir: a peer's `storage.data_dir`, one slot of it, the folder of one run, or a copy of any of these.
    run: beginning of the folder's name; None: any. Raises: StorageError naming what there is instead.
    """
    if data_dir.name == JOURNAL_FILE:
        data_dir = data_dir.parent
    if not data_dir.is_dir():
        raise StorageError(f"there is no folder {data_dir}: give the storage.data_dir of a peer (--data-dir)")
    folders = sorted(journal.parent for journal in _journals(data_dir, slot))
    wanted = [folder for folder in folders if run is None or folder.name.startswith(run)]
    if not wanted:
        require_open_slots(data_dir)
        raise StorageError(_nothing_found(data_dir, slot, run, folders))
    chosen = next(filter(_holds_rounds, sorted(wanted, key=_last_written, reverse=True)), None)
    if chosen is None:
        where = wanted[0] if len(wanted) == 1 else f"any of the {len(wanted)} journals in {data_dir}"
        raise StorageError(f"no round is sealed yet in {where} (--data-dir names another folder)")
    return RunPlace(
        folder=chosen,
        about=read_about(chosen),
        names=_names(chosen, folders),
        others=tuple(folder for folder in wanted if folder != chosen),
    )


def find_model(path: Path) -> Path:
    """Return `path`, or if it is a folder the model in it: that of the run or of the lone learner that wrote last.

    Raises: StorageError naming what there is instead.
    """
    with storage_errors("read", path):
        if not path.is_dir():
            return path
        if (path / MODEL_FILE).is_file():
            return path / MODEL_FILE
    written = _lone_learners(path)
    with suppress(StorageError):
        folder = find_run(path, slot=None, run=None).folder
        written[folder / MODEL_FILE] = _last_written(folder)
    if not written:
        require_open_slots(path)
        raise StorageError(f"there is no model in {path}: name another folder or a file; {WHO_SAVES}")
    newest = max(written, key=lambda file: written[file])
    if not newest.is_file():
        raise StorageError(f"there is no model in {newest.parent} yet: {WHO_SAVES}")
    return newest


def _lone_learners(path: Path) -> dict[Path, float]:
    """Return what `murmur train` saved in a data folder, or in `train` in it, and when."""
    found = [*path.glob(f"train/*/{MODEL_FILE}"), *path.glob(f"*/{MODEL_FILE}")]
    return {file: file.stat().st_mtime for file in found if not (file.parent / JOURNAL_FILE).exists()}


def _journals(data_dir: Path, slot: int | None) -> list[Path]:
    if slot is not None:
        return list(data_dir.glob(f"slot-{slot}/*/{JOURNAL_FILE}"))
    if (data_dir / JOURNAL_FILE).is_file():
        return [data_dir / JOURNAL_FILE]
    return [*data_dir.glob(f"*/{JOURNAL_FILE}"), *data_dir.glob(f"slot-*/*/{JOURNAL_FILE}")]


def _last_written(folder: Path) -> float:
    files = (folder / f"{JOURNAL_FILE}{suffix}" for suffix in ("", "-wal"))
    return max(file.stat().st_mtime for file in files if file.exists())


def _holds_rounds(folder: Path) -> bool:
    try:
        with open_journal_reader(folder / JOURNAL_FILE) as journal:
            return journal.rounds() is not None
    except StorageError:
        return True  # damaged, which its reader is told


def _names(chosen: Path, folders: list[Path]) -> NameBook:
    """Peers are known by what they said when the chosen one met them, and by their own folders beside it."""
    names = NameBook()
    for peer, name in load_names(chosen).items():
        names.learn(peer, name)
    beside = chosen.parent.parent.glob(f"slot-*/{chosen.name}")
    for folder in sorted({chosen, *folders, *beside}):
        about = read_about(folder)
        if about is not None:
            names.learn(PeerId(about.peer), about.name)
    return names


def _nothing_found(data_dir: Path, slot: int | None, run: str | None, folders: list[Path]) -> str:
    where = data_dir if slot is None else data_dir / f"slot-{slot}"
    if folders:
        return f"no run in {where} begins with {run!r}; there are {', '.join(sorted({f.name for f in folders}))}"
    slots = sorted(path.parent.parent.name for path in data_dir.glob(f"slot-*/*/{JOURNAL_FILE}"))
    if slots:
        return f"{where} holds no journal; there are some in {', '.join(sorted(set(slots)))} (--slot)"
    return f"{where} holds no journal yet: a peer writes one from its first sealed round on (--data-dir names another)"
