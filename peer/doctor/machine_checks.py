"""Checks of this machine alone: disk, identities, what computes, clock."""

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from peer.agents.first_model import long_draw
from peer.agents.native_agent import NativeAgent
from peer.config.schema import Config
from peer.doctor.finding import Finding
from peer.errors import EnvFailedError, StorageError
from peer.network.discovery.dial_plan import MAX_DIALS
from peer.network.key_file import KEY_FILE, load_identity
from peer.network.libp2p_connector import MAX_HANDSHAKES
from peer.network.transport import Origin
from peer.open_files import needed_files, permitted_files
from peer.settings import ppo_settings, threads, usable_cores
from peer.storage.atomic_file import write_atomic
from peer.storage.file_lock import lockable
from peer.storage.slots import require_open_slots
from peer.storage_failures import storage_errors
from peer.telemetry.plain_text import plural, size
from peer.types import PeerId

_LOW_BYTES = 64 << 20
_JOURNAL_SHARE = 2
"""The disk should hold the journal at its bound, and as much again for snapshots and temporary files."""
_PLAUSIBLE_S = 1_700_000_000.0
"""November 2023, before this program was written: an earlier clock is wrong."""
_TRIAL = ".tmp-doctor"


def check_disk(config: Config) -> Iterator[Finding]:
    """Look at the data folder: made if missing, locked, written to, measured, and left as it was."""
    folder = Path(config.storage.data_dir)
    try:
        free = _try_out(folder)
    except (StorageError, OSError) as error:
        yield Finding(verdict="fail", subject="disk", text=str(error), next_step="make storage.data_dir usable first")
        return
    wanted = _JOURNAL_SHARE * config.storage.max_journal_bytes
    text = f"{folder} is writable and lockable, {size(free)} free"
    if free < _LOW_BYTES:
        yield Finding(verdict="fail", subject="disk", text=text, next_step=f"free at least {size(wanted)}")
    elif free < wanted:
        step = f"free {size(wanted)}, or lower storage.max_journal_bytes"
        yield Finding(verdict="warn", subject="disk", text=text, next_step=step)
    else:
        yield Finding(verdict="ok", subject="disk", text=text)


def _try_out(folder: Path) -> int:
    """Do what a peer does to its slot, without taking one; return the free bytes. Raises: StorageError, OSError."""
    trial = folder / _TRIAL
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    with storage_errors("use", folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        write_atomic(trial, b"murmur doctor")
        with storage_errors("lock", trial), lockable(folder), trial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return shutil.disk_usage(folder).free
    finally:
        trial.unlink(missing_ok=True)
        with suppress(OSError):  # a peer has been started there meanwhile
            for path in missing:
                path.rmdir()


def check_identities(config: Config) -> Iterator[Finding]:
    """Read every key file of the data folder; print ids, nothing secret."""
    folder = Path(config.storage.data_dir)
    files = sorted(folder.glob(f"slot-*/{KEY_FILE}"))
    try:
        require_open_slots(folder)
    except StorageError as error:
        step = "run it as that user, or set another storage.data_dir"
        yield Finding(verdict="fail", subject="identity", text=str(error), next_step=step)
        return
    if not files:
        yield Finding(verdict="ok", subject="identity", text="none yet: the first start makes one")
    holders: dict[PeerId, Path] = {}
    for file in files:
        try:
            peer_id = load_identity(file).peer_id
        except (StorageError, FileNotFoundError) as error:
            step = "see the message; a peer in this slot would not start"
            yield Finding(verdict="fail", subject="identity", text=str(error), next_step=step)
            continue
        if (first := holders.setdefault(peer_id, file)) is not file:
            text = f"{file} holds the same key as {first}: {peer_id}"
            step = "move one of them away: two peers with one identity throw each other out"
            yield Finding(verdict="fail", subject="identity", text=text, next_step=step)
        else:
            yield Finding(verdict="ok", subject="identity", text=f"{file.parent.name}: {peer_id}")


def check_compute(config: Config) -> Iterator[Finding]:
    """Build the learner as a peer would, and say what it computes with."""
    try:
        settings = ppo_settings(config, PeerId("doctor"))
        if (draw := long_draw(config.env.name, settings)) is not None:
            yield Finding(verdict="ok", subject="compute", text=draw.text())
        agent = NativeAgent(config.env.name, settings=settings)
    except (ValueError, RuntimeError) as error:
        yield Finding(verdict="fail", subject="compute", text=str(error), next_step="change the setting it names")
        return
    except EnvFailedError as error:
        yield Finding(verdict="fail", subject="compute", text=str(error), next_step="repair the environment")
        return
    text = f"{agent.backend_name}, {threads(config)} of {usable_cores()} cores, {agent.schema.num_params} parameters"
    yield Finding(verdict="ok", subject="compute", text=text)


def check_open_files(config: Config) -> Iterator[Finding]:
    """Compare what this user may hold open with what the connections take that are allowed."""
    connections = config.network.max_connections
    needed = needed_files(connections=connections, handshakes=MAX_HANDSHAKES, dials=len(Origin) * MAX_DIALS)
    permitted = permitted_files()
    text = f"{permitted} files may be open, {plural(connections, 'connection')} and what goes with them take {needed}"
    if permitted < needed:
        step = f"ulimit -n {needed}, LimitNOFILE= of a service, or lower network.max_connections"
        yield Finding(verdict="warn", subject="files", text=text, next_step=step)
    else:
        yield Finding(verdict="ok", subject="files", text=text)


def check_clock(now_s: float | None = None) -> Iterator[Finding]:
    """The protocol runs on monotonic clocks; a wrong wall clock only makes logs hard to compare."""
    now_s = time.time() if now_s is None else now_s
    text = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if now_s < _PLAUSIBLE_S:
        step = "set it; rounds do not depend on it, but the times in JSON logs do"
        yield Finding(verdict="warn", subject="clock", text=text, next_step=step)
    else:
        yield Finding(verdict="ok", subject="clock", text=text)
