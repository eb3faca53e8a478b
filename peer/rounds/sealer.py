"""Sealing: from the headers that are in to a signed manifest and the model after it."""

from collections.abc import Collection, Sequence

import msgspec

from peer.errors import ProtocolError
from peer.rounds.entry import Entry, entry_of, entry_of_groups
from peer.rounds.ledger import Ledger
from peer.rounds.manifest import Outcome, build_manifest, build_top_manifest, outcome_of
from peer.rounds.roster import seal_order
from peer.types import Digest, ModelState
from peer.wire.envelope import ENVELOPE_OVERHEAD_BYTES, Signed, SignedDelta, seal
from peer.wire.hashing import part_hashes
from peer.wire.limits import MAX_ADMITTED, MAX_ADMITTED_BYTES, MAX_MANIFEST_BYTES
from peer.wire.messages import DeltaHeader, Manifest, Rejection


def seal_round(ledger: Ledger) -> Entry:
    """Return the applied successor of the tip that admits all candidates, signed by this peer.

    Raises: ProtocolError when it is none that others would take; nothing of it is kept then.
    """
    return _seal_flat(ledger) if ledger.grouping is None else _seal_groups(ledger)


def _seal_flat(ledger: Ledger) -> Entry:
    parent, parts, admitted = ledger.tip, ledger.parts, _choose(ledger)
    outcome, state, model = _after(ledger, admitted)
    body = build_manifest(
        parent,
        admitted,
        sealer=ledger.me,
        rejected=(),
        outcome=outcome,
        model=model,
        parts=part_hashes(state, parts.schema),
        rules=parts.rules,
    )
    told = _fitting(_rejections(ledger, {header.digest for header in admitted}), into=body)
    signed = seal(msgspec.structs.replace(body, rejected=told), parts.signer, run=parts.run)
    return _settled(ledger, entry_of(signed, tuple(admitted)), state)


def _seal_groups(ledger: Ledger) -> Entry:
    parent, parts = ledger.tip, ledger.parts
    best = ledger.group_candidates.best()
    admitted = [best[group] for group in sorted(best)]
    outcome, state, model = _after(ledger, admitted)
    body = build_top_manifest(
        parent,
        admitted,
        sealer=ledger.me,
        rejected=_rejected_seals(ledger, {signed.digest for signed in admitted}),
        outcome=outcome,
        model=model,
        parts=part_hashes(state, parts.schema),
        rules=parts.rules,
    )
    return _settled(ledger, entry_of_groups(seal(body, parts.signer, run=parts.run), tuple(admitted)), state)


def _after(ledger: Ledger, admitted: Sequence[SignedDelta]) -> tuple[Outcome, ModelState, Digest]:
    parent = ledger.tip
    assert parent.state is not None, "the tip is always applied"
    outcome = outcome_of(parent, admitted, ledger.parts.rules)
    state = ledger.next_state(parent.state, admitted, keeps_model=outcome.keeps_model)
    return outcome, state, ledger.parts.pure.model_hash(state)


def _settled(ledger: Ledger, entry: Entry, state: ModelState) -> Entry:
    """Check the own manifest as everybody else will: to follow one that all others refuse would part us from them."""
    parts, signed = ledger.parts, entry.manifest
    assert signed is not None, "sealed just now"
    parts.pure.open(signed.data, run=parts.run)
    parts.pure.check_manifest(ledger.tip, entry, parts.rules).settle(entry)
    entry.state = state
    return entry


def _choose(ledger: Ledger) -> list[Signed[DeltaHeader]]:
    """Return as many candidates as a manifest has room for, sorted by peer id.

    They are drawn by the tip's hash, so that no peer is left out round after round for its name.

    Those whose delta is not as long as their header says stay out, unless there are no others: a round admits somebody.
    """
    candidates = ledger.candidates()
    candidates = [header for header in candidates if ledger.payloads.has_declared_norm(header.message)] or candidates
    by_peer = {header.peer: header for header in candidates}
    drawn: list[Signed[DeltaHeader]] = []
    room = MAX_ADMITTED_BYTES
    for header in (by_peer[peer] for peer in seal_order(ledger.tip.digest, by_peer)):
        if len(drawn) < MAX_ADMITTED and len(header.data) <= room:
            drawn.append(header)
            room -= len(header.data)
    return sorted(drawn, key=lambda header: header.peer)


def _rejections(ledger: Ledger, admitted: Collection[Digest]) -> list[Rejection]:
    left_out = [header for header in ledger.pool.on_base(ledger.tip.digest) if header.digest not in admitted]
    return [Rejection(header.digest, header.peer, _reason(ledger, header)) for header in left_out[:MAX_ADMITTED]]


def _fitting(rejections: Sequence[Rejection], *, into: Manifest) -> tuple[Rejection, ...]:
    """Return the first of `rejections`, as many as a manifest still has room for: nothing rests on them."""
    room = MAX_MANIFEST_BYTES - ENVELOPE_OVERHEAD_BYTES - len(msgspec.msgpack.encode(into))
    for number, rejection in enumerate(rejections):
        room -= len(msgspec.msgpack.encode(rejection))
        if room < 0:
            return tuple(rejections[:number])
    return tuple(rejections)


def _reason(ledger: Ledger, header: Signed[DeltaHeader]) -> str:
    try:
        ledger.eligibility.check(header.peer)
    except ProtocolError as error:
        return error.reason
    if header.message not in ledger.payloads:
        return "no_payload"
    return "full" if ledger.payloads.has_declared_norm(header.message) else "norm"


def _rejected_seals(ledger: Ledger, admitted: Collection[Digest]) -> list[Rejection]:
    left_out = [signed for signed in ledger.groups.on_base(ledger.tip.digest) if signed.digest not in admitted]
    return [
        Rejection(signed.digest, signed.peer, "rival" if signed.message in ledger.payloads else "no_payload")
        for signed in left_out[:MAX_ADMITTED]
    ]
