"""Many deltas as one: what the members of a group of a large swarm contribute together."""

from collections.abc import Sequence
from dataclasses import dataclass

from peer.codec.codec import Codec
from peer.rounds.aggregate import Aggregate
from peer.rounds.own_deltas import l2_norm
from peer.types import Contribution, Digest, ModelDelta, ModelSchema
from peer.wire.envelope import Signed
from peer.wire.hashing import digest_of
from peer.wire.messages import DeltaHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupDelta:
    """What a group's members contribute together. decoded: what everybody reads from `payload`."""

    weight: int
    payload: bytes
    payload_hash: Digest
    decoded: ModelDelta
    l2_norm: float


def group_delta(
    headers: Sequence[Signed[DeltaHeader]],
    deltas: Sequence[ModelDelta],
    *,
    aggregate: Aggregate,
    codec: Codec,
    schema: ModelSchema,
) -> GroupDelta:
    """Aggregate the deltas that `headers` announce. Exact: equal headers give equal bytes.

    Cost: that of the rule.
    """
    contributions = [
        Contribution(weight=header.message.weight, delta=delta, peer=header.peer, env_steps=header.message.env_steps)
        for header, delta in zip(headers, deltas, strict=True)
    ]
    together = aggregate.group(contributions, Digest(headers[0].message.base))
    payload = codec.encode(together.delta)
    decoded = codec.decode(payload, schema)
    return GroupDelta(
        weight=together.weight,
        payload=payload,
        payload_hash=digest_of(payload),
        decoded=decoded,
        l2_norm=l2_norm(decoded.params),
    )
