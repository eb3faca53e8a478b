"""The whole state at one manifest as canonical bytes: equal on every peer, so any of them can serve any part."""

import hashlib
from typing import Annotated

import msgspec
import numpy as np

from peer.errors import ProtocolError
from peer.rounds.departed import MAX_DEPARTED
from peer.rounds.entry import Entry, entry_of, entry_of_groups
from peer.rounds.pure_work import PureWork
from peer.rounds.standing import encode_standing
from peer.types import ModelSchema, ModelState, Moments
from peer.wire.envelope import expect
from peer.wire.hashing import model_hash
from peer.wire.limits import MAX_COUNT, MAX_LARGE_ROSTER, MAX_MANIFEST_BYTES, MAX_ROUND, MAX_STANDING_BYTES
from peer.wire.messages import DepartedEntry, Manifest, RosterEntry, RoundNumber, TopManifest

_FORMAT = 3
_PURE = PureWork()
_FRAME_BYTES = MAX_MANIFEST_BYTES + MAX_STANDING_BYTES + 64


class _Snapshot(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    format: int
    manifest: Annotated[bytes, msgspec.Meta(max_length=MAX_MANIFEST_BYTES)]
    params: bytes
    moments: bytes
    outer: bytes
    standing: Annotated[bytes, msgspec.Meta(max_length=MAX_STANDING_BYTES)]


class _Standing(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a top manifest names by its hash alone; empty bytes beside a manifest that carries it."""

    roster: Annotated[tuple[RosterEntry, ...], msgspec.Meta(min_length=1, max_length=MAX_LARGE_ROSTER)]
    departed: Annotated[tuple[DepartedEntry, ...], msgspec.Meta(max_length=MAX_DEPARTED)]
    horizon: RoundNumber


def max_snapshot_bytes(schema: ModelSchema) -> int:
    """Return the bound that an offered snapshot is held against before a byte of it is pulled."""
    return 4 * (schema.num_params + schema.num_outer) + 24 * schema.num_moments + _FRAME_BYTES


def encode_snapshot(entry: Entry) -> bytes:
    """Raises: ValueError for genesis and for an entry that was not applied."""
    if entry.manifest is None or entry.state is None:
        raise ValueError("only an applied manifest has a snapshot")
    moments = entry.state.moments
    is_large = isinstance(entry.manifest.message, TopManifest)
    rows = np.stack([moments.count, moments.mean, moments.m2])
    return msgspec.msgpack.encode(
        _Snapshot(
            _FORMAT,
            entry.manifest.data,
            np.asarray(entry.state.params, "<f4").tobytes(),
            np.asarray(rows, "<f8").tobytes(),
            np.asarray(entry.state.outer, "<f4").tobytes(),
            encode_standing(entry.roster, entry.departed, entry.horizon) if is_large else b"",
        )
    )


def decode_snapshot(data: bytes, *, run: bytes, schema: ModelSchema, pure: PureWork = _PURE) -> Entry:
    """Return the applied entry inside `data`; its model is checked against its manifest's hash and signature.

    Raises: ProtocolError on another format, shape, run, a bad signature, a model that is not the manifest's, or
    counters so high that rounds could not go on from them.
    """
    if len(data) > max_snapshot_bytes(schema):
        raise ProtocolError("oversize", f"a snapshot of {len(data)} bytes")
    try:
        snapshot = msgspec.msgpack.decode(data, type=_Snapshot)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError("malformed", f"snapshot: {error}") from error
    if snapshot.format != _FORMAT:
        raise ProtocolError("version", f"snapshot format {snapshot.format}, this peer reads {_FORMAT}")
    sizes = len(snapshot.params), len(snapshot.moments), len(snapshot.outer)
    if sizes != (4 * schema.num_params, 24 * schema.num_moments, 4 * schema.num_outer):
        raise ProtocolError("schema", "the snapshot is of a model of another shape")
    entry = _entry(snapshot, run=run, pure=pure)
    if entry.round > MAX_ROUND // 2 or entry.score > MAX_COUNT // 2:
        raise ProtocolError("bad_manifest", f"counters out of range: round {entry.round}, score {entry.score}")
    entry.state = _state(snapshot, schema)
    if model_hash(entry.state) != entry.model:
        raise ProtocolError("model_hash", "the snapshot's model is not the one that its manifest names")
    return entry


def _entry(snapshot: _Snapshot, *, run: bytes, pure: PureWork) -> Entry:
    signed = pure.open(snapshot.manifest, run=run)
    if not isinstance(signed.message, TopManifest):
        manifest = expect(signed, Manifest)
        return entry_of(manifest, pure.open_headers(manifest.message, run=run, opener=pure.open))
    if hashlib.sha256(snapshot.standing).digest() != signed.message.standing:
        raise ProtocolError("standing", "the snapshot's roster is not the one that its manifest names")
    try:
        standing = msgspec.msgpack.decode(snapshot.standing, type=_Standing)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError("malformed", f"snapshot: {error}") from error
    entry = entry_of_groups(expect(signed, TopManifest), ())
    entry.roster, entry.departed, entry.horizon = standing.roster, standing.departed, standing.horizon
    return entry


def _state(snapshot: _Snapshot, schema: ModelSchema) -> ModelState:
    params = np.frombuffer(snapshot.params, "<f4")
    count, mean, m2 = np.frombuffer(snapshot.moments, "<f8").reshape(3, schema.num_moments)
    outer = np.frombuffer(snapshot.outer, "<f4")
    if not all(np.isfinite(part).all() for part in (params, outer, count, mean, m2)):
        raise ProtocolError("not_finite", "the snapshot holds NaN or infinity")
    return ModelState(params=params, moments=Moments(count=count, mean=mean, m2=m2), outer=outer)
