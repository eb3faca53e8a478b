"""The messages of the round protocol, as msgpack arrays with every field bounded.

Encoding is canonical (fixed field order, no maps), so equal messages have equal bytes and digests can be signed.
"""

from typing import Annotated

import msgspec

from peer.wire.bounded import decode_bounded
from peer.wire.limits import (
    MAX_ADMITTED,
    MAX_ANNOUNCEMENT_BYTES,
    MAX_BLOB_BYTES,
    MAX_COUNT,
    MAX_ENV_STEPS,
    MAX_GROUPS,
    MAX_PART_HASH_BYTES,
    MAX_ROSTER,
    MAX_ROUND,
)

Hash = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
PartHashes = Annotated[bytes, msgspec.Meta(max_length=MAX_PART_HASH_BYTES)]
PeerText = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
EnvSteps = Annotated[int, msgspec.Meta(ge=1, le=MAX_ENV_STEPS)]
GroupEnvSteps = Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]
RoundNumber = Annotated[int, msgspec.Meta(ge=0, le=MAX_ROUND)]
TaskId = Annotated[str, msgspec.Meta(min_length=1, max_length=48, pattern=r"^[a-z0-9-]+\Z")]
Envelope = bytes

_encode = msgspec.msgpack.Encoder().encode


class PeerCard(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Who I am and what I run; exchanged when a connection opens.

    boot: number of starts of this identity, so that a restart replaces the old session.
    config: digest of the settings that must be equal on all peers. schema: digest of the model's shape.
    sections: short hashes of the parts of the settings that `config` covers, to say where they differ; may be empty.
    """

    boot: Count
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_.-]+\Z")]
    addresses: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=128)], ...], msgspec.Meta(max_length=8)]
    config: Hash
    schema: Hash
    sections: Annotated[bytes, msgspec.Meta(max_length=32)] = b""


class DeltaHeader(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Announcement of one peer's delta for the round after `base`.

    sequence: grows with every header of a peer, over restarts too; the highest wins. env_steps: steps the delta stands
    for, late ones included. weight: what it counts in the aggregate, 1 to env_steps; late work weighs less than its
    steps. eval_return: greedy return of the *base* model, when the peer measured it.
    """

    round: RoundNumber
    base: Hash
    sequence: Count
    payload: Hash
    payload_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_BLOB_BYTES)]
    codec: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    env_steps: EnvSteps
    weight: EnvSteps
    steps_per_s: Count
    l2_norm: float
    approx_kl: float
    mean_return: float | None
    eval_return: float | None
    tasks: Annotated[tuple[TaskId, ...], msgspec.Meta(max_length=8)]


class Announcement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What travels by gossip: one signed envelope, and a header's payload when that is small.

    The payload needs no signature of its own: the header names its hash.
    """

    envelope: Envelope
    payload: bytes | None


class RosterEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One member of the roster.

    missed: rounds in a row. steps_per_s: as last reported; its weight in the task assignment. sequence: of its last
    admitted header: the chain holds the member's work up to there, and none after it.
    """

    peer: PeerText
    missed: Count
    steps_per_s: Count
    sequence: Count


class DepartedEntry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One that has left the roster: the sequence of its last admitted header, and in which round that was."""

    peer: PeerText
    sequence: Count
    round: RoundNumber


class Rejection(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A header the sealer saw and left out, whose it was, and why: the sealer's word, as the header is not here."""

    header: Hash
    peer: PeerText
    reason: Annotated[str, msgspec.Meta(max_length=32)]


class Manifest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The sealed end of a round: the next model is a function of the previous model and this list alone.

    previous: digest of the manifest before. view: rank of the sealer. admitted: signed headers, sorted by peer id.
    roster, departed, horizon, score, env_steps, stop follow from `previous` and `admitted` by fixed rules; receivers
    recompute them.
    model: hash of the resulting model. parts: `hashing.part_hashes` of it, from which a peer that computes another one
    tells where it went astray; a hint, checked by nobody. score: admitted deltas since genesis, what fork choice
    weighs. horizon: the last round in which a peer that neither `roster` nor `departed` names may have been admitted.
    """

    round: RoundNumber
    previous: Hash
    view: Count
    admitted: Annotated[tuple[Envelope, ...], msgspec.Meta(min_length=1, max_length=MAX_ADMITTED)]
    rejected: Annotated[tuple[Rejection, ...], msgspec.Meta(max_length=MAX_ADMITTED)]
    roster: Annotated[tuple[RosterEntry, ...], msgspec.Meta(min_length=1, max_length=MAX_ROSTER)]
    departed: Annotated[tuple[DepartedEntry, ...], msgspec.Meta(max_length=MAX_ROSTER)]
    horizon: RoundNumber
    score: Count
    env_steps: Count
    stop: Annotated[str, msgspec.Meta(max_length=16)]
    model: Hash
    parts: PartHashes


class GroupMember(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One admitted header of a group, as far as everybody must know it.

    key: the author's public key, which its peer id spells. header: the first 16 bytes of the header's digest. The rest
    as in the header.
    """

    key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
    header: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    sequence: Count
    env_steps: EnvSteps
    steps_per_s: Count


class GroupSeal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The deltas of one group of a large swarm as one: what a member has aggregated of the round after `base`.

    members: whose deltas are in it, sorted by key. payload: the aggregate, in `codec`. weight: sum of the members'
    weights, capped as the configuration says. env_steps: sum of the members'. approx_kl, mean_return: means over the
    members that have one; eval_return: the lower median of them. rejected: what the sealer left out, and why.
    """

    round: RoundNumber
    base: Hash
    group: Annotated[int, msgspec.Meta(ge=0, lt=MAX_GROUPS)]
    payload: Hash
    payload_bytes: Annotated[int, msgspec.Meta(ge=1, le=MAX_BLOB_BYTES)]
    codec: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
    env_steps: GroupEnvSteps
    weight: GroupEnvSteps
    l2_norm: float
    approx_kl: float
    mean_return: float | None
    eval_return: float | None
    members: Annotated[tuple[GroupMember, ...], msgspec.Meta(min_length=1, max_length=MAX_ADMITTED)]
    rejected: Annotated[tuple[Rejection, ...], msgspec.Meta(max_length=MAX_ADMITTED)]


class TopManifest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The sealed end of a round of a large swarm: the next model is a function of the previous one and these groups.

    groups: digests of the admitted group seals, in the order of their groups. standing: hash of roster, departed and
    horizon after the round, which are too long to be carried and follow from those before and the seals. The rest as
    in `Manifest`.
    """

    round: RoundNumber
    previous: Hash
    view: Count
    groups: Annotated[tuple[Hash, ...], msgspec.Meta(min_length=1, max_length=MAX_GROUPS)]
    rejected: Annotated[tuple[Rejection, ...], msgspec.Meta(max_length=MAX_ADMITTED)]
    standing: Hash
    score: Count
    env_steps: Count
    stop: Annotated[str, msgspec.Meta(max_length=16)]
    model: Hash
    parts: PartHashes


class Ack(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A vote: I applied `manifest`, a child of `previous`, and got `model`. One vote a peer and round.

    after: the last round in which this peer voted before; it gave no vote in between and never will.
    """

    round: RoundNumber
    previous: Hash
    manifest: Hash
    model: Hash
    after: RoundNumber


Delta = DeltaHeader | GroupSeal
"""Whatever names a payload that moves the model."""


def announcement(envelope: bytes, payload: bytes | None) -> bytes:
    """Return the bytes to gossip for a signed envelope and a payload that rides along, if any."""
    return _encode(Announcement(envelope, payload))


def decode_announcement(data: bytes) -> Announcement:
    """Raises: ProtocolError when `data` is above the bound or no announcement."""
    return decode_bounded(data, Announcement, max_bytes=MAX_ANNOUNCEMENT_BYTES)
