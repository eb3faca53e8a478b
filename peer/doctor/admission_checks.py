"""Checks of who may take part: the swarm key's file, the allow-list and whether it names us, and who is denied."""

import time
from collections.abc import Iterator
from pathlib import Path

from peer.admission.allow_list import AllowList, Authority, open_allow_list
from peer.config.schema import Config
from peer.doctor.finding import Finding
from peer.errors import ProtocolError, StorageError
from peer.network.key_file import KEY_FILE, load_identity
from peer.round_parts import wire_run_id
from peer.rounds.equivocation import check_proof
from peer.run_folder import run_folder_name
from peer.storage.allow_list_file import ALLOW_LIST_FILE, read_allow_list
from peer.storage.proofs_file import PROOFS_FILE, load_proofs
from peer.storage.swarm_key_file import load_swarm_key
from peer.telemetry.plain_text import plural
from peer.types import PeerId


def check_admission(config: Config) -> Iterator[Finding]:
    """Look at every file that decides who may take part. Whether others have the same, `check_peers` finds out."""
    network = config.network
    if network.swarm_key_file is None and not network.authorities:
        text = "open: whoever reaches a port of the run may take part (no swarm key, no allow-list)"
        yield Finding(verdict="ok", subject="admission", text=text)
    if network.swarm_key_file is not None:
        yield _swarm_key(Path(network.swarm_key_file))
    if network.authorities:
        yield from _allow_list(config)
    yield from _denied(config)


def newest_allow_list(config: Config) -> AllowList | None:
    """Return the newest valid list on this machine: the user's file, or what a peer here has heard of."""
    found = [each for _path, each in _lists(config) if isinstance(each, AllowList)]
    return max(found, key=lambda each: (each.version, each.digest), default=None)


def unnamed_peers(config: Config, allowed: AllowList) -> list[PeerId]:
    """Return the peers of the data folder that a list does not name."""
    return [peer for peer in _own_ids(config) if peer not in allowed.peers]


def _swarm_key(path: Path) -> Finding:
    try:
        key = load_swarm_key(path)
    except StorageError as error:
        step = "see the message; a peer with these settings would not start"
        return Finding(verdict="fail", subject="swarm key", text=str(error), next_step=step)
    text = f"{path} holds the key {key.fingerprint}; compare it on other machines by `murmur swarm-key show`"
    return Finding(verdict="ok", subject="swarm key", text=text)


def _allow_list(config: Config) -> Iterator[Finding]:
    for path, found in _lists(config):
        if not isinstance(found, AllowList):
            step = "`murmur allow-list show` says what it holds; have it signed, or copy a newer one over it"
            yield Finding(verdict="fail", subject="allow-list", text=f"{path}: {found}", next_step=step)
    newest = newest_allow_list(config)
    if newest is None:
        step = "set network.allow_list on one peer at least; until one brings a list, nobody is taken in"
        yield Finding(verdict="warn", subject="allow-list", text="no valid one on this machine", next_step=step)
        return
    path = next(path for path, found in _lists(config) if found == newest)
    days = max(0.0, time.time() - path.stat().st_mtime) / 86_400
    text = f"version {newest.version} names {plural(len(newest.peers), 'peer')}; {path} is {days:.1f} days old"
    yield Finding(verdict="ok", subject="allow-list", text=text)
    if not _own_ids(config):
        step = "`murmur identity new slot-0/identity.key` in the data folder makes one, to be added and signed"
        text = "there is no identity here yet, so no list can name it"
        yield Finding(verdict="warn", subject="allow-list", text=text, next_step=step)
    for peer in unnamed_peers(config, newest):
        yield not_named(peer, newest)


def not_named(peer: PeerId, allowed: AllowList) -> Finding:
    """Return what is to be said of a peer of this machine that a list does not name."""
    text = f"version {allowed.version} does not name {peer}: nobody would take it in"
    step = f"`murmur allow-list add FILE {peer}`, then `sign`, and give the file to any running peer"
    return Finding(verdict="fail", subject="allow-list", text=text, next_step=step)


def _lists(config: Config) -> list[tuple[Path, AllowList | str]]:
    """Return each list on this machine, or why it does not count."""
    network, folder = config.network, Path(config.storage.data_dir)
    paths = [] if network.allow_list is None else [Path(network.allow_list)]
    paths += sorted(folder.glob(f"slot-*/{ALLOW_LIST_FILE}"))
    authority = Authority(keys=tuple(map(PeerId, network.authorities)), needed=network.authority_signatures)
    found: list[tuple[Path, AllowList | str]] = []
    for path in paths:
        try:
            found.append((path, open_allow_list(read_allow_list(path), authority, run=config.run.name)))
        except FileNotFoundError:
            found.append((path, "there is no such file"))
        except (StorageError, ProtocolError) as error:
            found.append((path, error.detail if isinstance(error, ProtocolError) else str(error)))
    return found


def _own_ids(config: Config) -> list[PeerId]:
    """Return the peers of the data folder; what is wrong with a key file, `check_identities` tells."""
    ids = []
    for file in sorted(Path(config.storage.data_dir).glob(f"slot-*/{KEY_FILE}")):
        try:
            ids.append(load_identity(file).peer_id)
        except (StorageError, FileNotFoundError):
            continue
    return ids


def _denied(config: Config) -> Iterator[Finding]:
    """Name whom peers of this machine hold proof against in this run."""
    told: dict[PeerId, str] = {}
    for file in sorted(Path(config.storage.data_dir).glob(f"slot-*/{run_folder_name(config)}/{PROOFS_FILE}")):
        try:
            for first, second in load_proofs(file):
                proof = check_proof(first, second, run=wire_run_id(config))
                told[proof.peer] = proof.what
        except (StorageError, ProtocolError) as error:
            step = "nothing: it is written anew, others bring the proofs"
            yield Finding(verdict="warn", subject="denied", text=f"{file}: {error}", next_step=step)
    for peer, what in told.items():
        yield Finding(verdict="ok", subject="denied", text=f"{peer} is shut out of this run: {what}")
