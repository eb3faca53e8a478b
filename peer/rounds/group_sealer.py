"""The seal of the own group: from its members' headers to one delta and a signed statement of what is in it.

Whoever holds the same headers and payloads gets the same bytes, so every member can tell whether the sealer lied.
"""

import statistics
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from peer.peer_ids import public_key_of
from peer.rounds.group_delta import GroupDelta
from peer.rounds.headers import NAME_BYTES
from peer.types import Digest
from peer.wire.envelope import Signed, seal
from peer.wire.limits import MAX_ADMITTED
from peer.wire.messages import DeltaHeader, GroupMember, GroupSeal, Rejection

if TYPE_CHECKING:
    from peer.rounds.ledger import Ledger

_FINE_CODEC = "int8+zstd"
"""Of groups whose members send coarse deltas: what it leaves out of their sum is sent by nobody later."""
_public_key = lru_cache(maxsize=8192)(public_key_of)
_MAX_TOLD = 16
"""Rejections in a seal: a group has few, and strangers that find no room are no news."""


def seal_group(ledger: "Ledger") -> tuple[Signed[GroupSeal], bytes]:
    """Return the seal of the own group over all candidates, signed and entered here, and its payload.

    Raises: ProtocolError when it is none that others would take; nothing of it is kept then.
    """
    headers, codec = _choose(ledger), _codec_name(ledger)
    result = _delta_of(ledger, headers, codec)
    body = _statement(ledger, headers, result, codec)
    signed = seal(body, ledger.parts.signer, run=ledger.parts.run)
    ledger.parts.pure.open(signed.data, run=ledger.parts.run)
    ledger.parts.pure.check_group_seal(ledger.tip, signed, ledger.parts.rules)
    ledger.payloads.keep(signed, result.payload, result.decoded)
    ledger.groups.add(signed, rank=ledger.own_rank)
    return signed, result.payload


def is_true(ledger: "Ledger", signed: Signed[GroupSeal]) -> bool | None:
    """Return whether a seal of the own group says what its members' headers give; None: not all of them are held here.

    A sound seal's payload is kept, so that it need not be pulled.
    """
    body = signed.message
    found: list[Signed[DeltaHeader]] = []
    for member in body.members:
        header = ledger.pool.named(Digest(body.base), member.header)
        if header is None or header.message not in ledger.payloads:
            return None
        found.append(header)
    if body.codec not in ledger.parts.codecs:
        return False
    result = _delta_of(ledger, found, body.codec)
    expected = _statement(ledger, found, result, body.codec)
    told = (body.members, body.payload, body.weight, body.approx_kl, body.mean_return, body.eval_return)
    computed = (
        expected.members, expected.payload, expected.weight, expected.approx_kl, expected.mean_return,
        expected.eval_return,
    )  # fmt: skip
    if told != computed:
        return False
    ledger.payloads.keep(signed, result.payload, result.decoded)
    return True


def _delta_of(ledger: "Ledger", headers: Sequence[Signed[DeltaHeader]], codec: str) -> GroupDelta:
    parts = ledger.parts
    return parts.pure.group_delta(
        headers,
        [ledger.payloads.delta(header.message) for header in headers],
        aggregate=parts.aggregate,
        codec=parts.codecs[codec],
        schema=parts.schema,
    )


def _statement(ledger: "Ledger", headers: Sequence[Signed[DeltaHeader]], result: GroupDelta, codec: str) -> GroupSeal:
    grouping, messages = ledger.grouping, [header.message for header in headers]
    assert grouping is not None, "only large swarms have groups"
    returns = [message.mean_return for message in messages if message.mean_return is not None]
    measured = [message.eval_return for message in messages if message.eval_return is not None]
    return GroupSeal(
        round=ledger.tip.round + 1,
        base=ledger.tip.digest,
        group=grouping.group_of(ledger.me),
        payload=result.payload_hash,
        payload_bytes=len(result.payload),
        codec=codec,
        env_steps=sum(message.env_steps for message in messages),
        weight=result.weight,
        l2_norm=result.l2_norm,
        approx_kl=statistics.fmean(message.approx_kl for message in messages),
        mean_return=statistics.fmean(returns) if returns else None,
        eval_return=statistics.median_low(measured) if measured else None,
        members=tuple(_member(header) for header in headers),
        rejected=tuple(_rejections(ledger, {header.digest for header in headers})),
    )


def _member(header: Signed[DeltaHeader]) -> GroupMember:
    message = header.message
    return GroupMember(
        key=_public_key(header.peer),
        header=header.digest[:NAME_BYTES],
        sequence=message.sequence,
        env_steps=message.env_steps,
        steps_per_s=message.steps_per_s,
    )


def _choose(ledger: "Ledger") -> list[Signed[DeltaHeader]]:
    """Return at most MAX_ADMITTED candidates of the group, sorted by peer id: members first, then strangers by hash."""
    grouping = ledger.grouping
    assert grouping is not None, "only large swarms have groups"
    candidates = ledger.candidates()
    candidates = [header for header in candidates if ledger.payloads.has_declared_norm(header.message)] or candidates
    lucky = set(
        grouping.in_turn([header.peer for header in candidates], group=grouping.group_of(ledger.me))[:MAX_ADMITTED]
    )
    return [header for header in candidates if header.peer in lucky]


def _rejections(ledger: "Ledger", admitted: Collection[Digest]) -> list[Rejection]:
    left_out = [
        header
        for header in ledger.pool.on_base(ledger.tip.digest)
        if header.digest not in admitted and ledger.is_of_own_group(header.peer)
    ]
    return [Rejection(header.digest, header.peer, _reason(ledger, header.message)) for header in left_out[:_MAX_TOLD]]


def _reason(ledger: "Ledger", header: DeltaHeader) -> str:
    if header not in ledger.payloads:
        return "no_payload"
    return "full" if ledger.payloads.has_declared_norm(header) else "norm"


def _codec_name(ledger: "Ledger") -> str:
    own = ledger.parts.codecs[ledger.parts.codec]
    return _FINE_CODEC if own.coarse else own.name
