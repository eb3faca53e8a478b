"""What somebody with a file editor can do to a run's folder, checksums mended, so that only the chain can tell."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from msgspec import structs

from peer.network.identity import Identity
from peer.round_parts import wire_run_id
from peer.rounds.sealed_rounds import decode_sealed
from peer.rounds.snapshot import encode_snapshot
from peer.storage.atomic_file import read_framed, write_framed
from peer.storage.journal_database import row_checksum
from peer.storage.model_file import load_model, save_model
from peer.storage.snapshots import Snapshot, SnapshotStore
from peer.wire.envelope import Signed, open_as, seal
from peer.wire.hashing import model_hash
from peer.wire.messages import DeltaHeader, Manifest
from tests.unit.history.sealed_run import CONFIG

RUN = wire_run_id(CONFIG)


def rows(folder: Path) -> dict[int, tuple[bytes, bytes]]:
    """Return (digest, data) of every round."""
    with sqlite3.connect(folder / "journal.sqlite") as database:
        return {row[0]: (row[1], row[2]) for row in database.execute("SELECT round, digest, data FROM manifests")}


def manifest_of(folder: Path, number: int) -> Signed[Manifest]:
    return open_as(rows(folder)[number][1], Manifest, run=RUN)


def put_row(folder: Path, number: int, digest: bytes, data: bytes, *, crc: int | None = None) -> None:
    """Replace a row; crc: None: the right one."""
    crc = row_checksum(number, digest, data) if crc is None else crc
    with sqlite3.connect(folder / "journal.sqlite") as database:
        database.execute("INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?)", (number, digest, data, crc))


def drop_round(folder: Path, number: int) -> None:
    with sqlite3.connect(folder / "journal.sqlite") as database:
        database.execute("DELETE FROM manifests WHERE round = ?", (number,))


def flip(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes((data[offset] ^ 0x01,)) + data[offset + 1 :]


def seal_anew(folder: Path, number: int, signer: Identity, change: Callable[[Manifest], Manifest]) -> None:
    """Change a manifest and sign it again, digest and checksum and all."""
    forged = seal(change(manifest_of(folder, number).message), signer, run=RUN)
    put_row(folder, number, forged.digest, forged.data)


def change_payload(folder: Path, number: int, index: int) -> None:
    """Flip one bit of a kept delta; the file's own checksum is right again."""
    path = folder / "payloads" / f"round-{number:013d}.bin"
    payloads = msgspec.msgpack.decode(read_framed(path, kind=b"PAYL"), type=list[bytes])
    payloads[index] = flip(payloads[index], 9)
    write_framed(path, msgspec.msgpack.encode(payloads), kind=b"PAYL")


def make_up_model(folder: Path, number: int, sealer: Identity) -> None:
    """Have the sealer of the newest round name a model of its own, in manifest, snapshot and model file alike."""
    model_file = folder / "model.safetensors"
    model = load_model(model_file)
    state = replace(model.state, params=model.state.params + np.float32(1.0))
    seal_anew(folder, number, sealer, lambda manifest: structs.replace(manifest, model=model_hash(state), parts=b""))
    (folder / "payloads" / f"round-{number:013d}.bin").unlink()
    entry = decode_sealed(rows(folder)[number][1], run=RUN)
    entry.state = state
    store = SnapshotStore(folder / "snapshots", keep=3)
    max((folder / "snapshots").glob("snapshot-*.bin")).unlink()
    store.save(Snapshot(round=number, digest=entry.digest, content=encode_snapshot(entry)))
    save_model(
        model_file, replace(model, state=state, settings={**model.settings, "model_hash": model_hash(state).hex()})
    )


def change_header(folder: Path, number: int, signers: Sequence[Identity], **changes: object) -> None:
    """Change the first header of a round, and have its author and the round's sealer sign anew."""
    by_id = {signer.peer_id: signer for signer in signers}
    manifest = manifest_of(folder, number)
    first, *others = manifest.message.admitted
    header = open_as(first, DeltaHeader, run=RUN)
    forged = seal(structs.replace(header.message, **changes), by_id[header.peer], run=RUN).data
    admitted = (forged, *others)
    seal_anew(folder, number, by_id[manifest.peer], lambda message: structs.replace(message, admitted=admitted))
