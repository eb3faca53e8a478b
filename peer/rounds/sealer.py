"""Sealing: from the headers that are in to a signed manifest and the model after it."""

from collections.abc import Collection

from peer.rounds.entry import Entry, entry_of
from peer.rounds.ledger import Ledger
from peer.rounds.manifest import build_manifest, outcome_of
from peer.rounds.roster import seal_order
from peer.types import Digest
from peer.wire.envelope import Signed, seal
from peer.wire.limits import MAX_ADMITTED
from peer.wire.messages import DeltaHeader, Rejection


def seal_round(ledger: Ledger) -> Entry:
    """Return the applied successor of the tip that admits all candidates, signed by this peer."""
    parent = ledger.tip
    assert parent.state is not None, "the tip is always applied"
    admitted = _choose(ledger)
    outcome = outcome_of(parent, admitted, ledger.parts.rules)
    state = ledger.next_state(parent.state, admitted, keeps_model=outcome.keeps_model)
    manifest = seal(
        build_manifest(
            parent,
            admitted,
            sealer=ledger.me,
            rejected=_rejections(ledger, {header.digest for header in admitted}),
            outcome=outcome,
            model=ledger.parts.pure.model_hash(state),
        ),
        ledger.parts.signer,
        run=ledger.parts.run,
    )
    entry = entry_of(manifest, tuple(admitted))
    entry.state = state
    return entry


def _choose(ledger: Ledger) -> list[Signed[DeltaHeader]]:
    """Return at most MAX_ADMITTED candidates, drawn by hash so that nobody is left out twice in a row by name.

    Those whose delta is not as long as their header says stay out, unless there are no others: a round admits somebody.
    """
    candidates = ledger.candidates()
    candidates = [header for header in candidates if ledger.payloads.has_declared_norm(header.message)] or candidates
    lucky = set(seal_order(ledger.tip.digest, (header.peer for header in candidates))[:MAX_ADMITTED])
    return [header for header in candidates if header.peer in lucky]


def _rejections(ledger: Ledger, admitted: Collection[Digest]) -> list[Rejection]:
    left_out = [header for header in ledger.pool.on_base(ledger.tip.digest) if header.digest not in admitted]
    return [Rejection(header.digest, header.peer, _reason(ledger, header)) for header in left_out[:MAX_ADMITTED]]


def _reason(ledger: Ledger, header: Signed[DeltaHeader]) -> str:
    if not ledger.eligibility.takes(header.peer):
        return "not_allowed"
    if header.message not in ledger.payloads:
        return "no_payload"
    return "full" if ledger.payloads.has_declared_norm(header.message) else "norm"
