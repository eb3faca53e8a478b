"""Anti-entropy: what two peers tell each other so that both end up with the same chain (docs/protocol.md)."""

from collections.abc import Callable, Collection, Iterable
from itertools import islice

from peer.rounds.entry import Entry
from peer.rounds.ledger import Ledger
from peer.rounds.manifest import STOP_RETURN
from peer.types import PeerId
from peer.wire.envelope import AnySigned, SignedDelta
from peer.wire.limits import MAX_SYNC_MESSAGES, MAX_SYNC_RESPONSE_BYTES
from peer.wire.sync import SnapshotOffer, SyncRequest, SyncResponse, Tip

_MAX_RECENT = 64
_MAX_HELD = 128
_ENCODING_SLACK_BYTES = 8 * 1024


def tip_of(entry: Entry) -> Tip:
    return Tip(entry.digest, entry.round, entry.score)


def request(ledger: Ledger, *, final: int) -> SyncRequest:
    """Say what is held here: the line to the tip, the headers for the next round, and votes.

    final: the newest round that is final here. The votes for the one after it come first, as others are to complete
    them; then the latest votes.

    A root that is not final is decided by those who vote on what builds on it, as nobody knows who voted on the root.
    """
    line = ledger.line()[: -_MAX_RECENT - 1 : -1]
    tip = ledger.tip
    decided = max(final, ledger.chain.root.round)
    rounds = ledger.votes.rounds()[::-1]
    pending = [number for number in rounds if number > decided]
    votes = ledger.votes.held(pending[-1:] + pending[:-1] + rounds[len(pending) :])
    return SyncRequest(
        tip=tip_of(tip),
        recent=tuple([entry.digest for entry in line]),
        headers=tuple([delta.digest for delta in _waiting(ledger)[:_MAX_HELD]]),
        acks=tuple([ack.digest for ack in islice(votes, _MAX_HELD)]),
        final=decided,
    )


def empty_request(ledger: Ledger) -> SyncRequest:
    """Claim to hold nothing, so that the answer offers a snapshot."""
    return SyncRequest(tip_of(ledger.chain.root), (), (), (), 0)


def response(
    asked: SyncRequest, ledger: Ledger, offer: Callable[[Tip], SnapshotOffer | None], *, source: PeerId | None = None
) -> SyncResponse:
    """Answer with what the asking peer lacks.

    offer: makes the offer of a snapshot for a peer that is at this tip. source: who asks, None where that is not known.

    Votes for the first round that is undecided there are sent however old they are: no later round is final before it.
    A snapshot is offered instead of manifests when our window does not reach back to what it has, or when payloads that
    it would need are not held here (a peer that restarted from a snapshot has none of that round's).
    """
    known = set(asked.recent)
    newest_common = max((entry.round for entry in ledger.line() if entry.digest in known), default=None)
    missing = [entry for entry in ledger.line() if newest_common is None or entry.round > newest_common]
    can_replay = newest_common is not None and all(_is_replayable(entry, ledger) for entry in missing)
    before = 1 if asked.tip.digest in ledger.chain and ledger.grouping is None else 0  # at a fork, all since then
    oldest_votes = (newest_common or 0) - before
    held = set(asked.headers) | set(asked.acks)
    newer: list[AnySigned] = [
        *_waiting(ledger, source),
        *ledger.votes.held(
            number for number in reversed(ledger.votes.rounds()) if number >= oldest_votes or number == asked.final + 1
        ),
    ]
    envelopes = [data for entry in missing for data in _sealed(entry, held)] if can_replay else []
    envelopes += [signed.data for signed in newer if signed.digest not in held]
    return SyncResponse(
        tip=tip_of(ledger.tip),
        messages=tuple(_bounded(envelopes)),
        snapshot=None if can_replay else offer(asked.tip),
    )


def _waiting(ledger: Ledger, source: PeerId | None = None) -> list[SignedDelta]:
    """Return the headers and group seals for the round in progress; headers go to members of their group alone."""
    is_mate = source is None or ledger.is_of_own_group(source)
    headers: list[SignedDelta] = list(ledger.pool.on_base(ledger.tip.digest)) if is_mate else []
    return [*ledger.groups.on_base(ledger.tip.digest), *headers]


def _sealed(entry: Entry, held: Collection[bytes]) -> list[bytes]:
    """Return a manifest, and after it those of its group seals that the other side lacks."""
    assert entry.manifest is not None, "genesis is common to all"
    return [entry.manifest.data, *(seal.data for seal in entry.groups if seal.digest not in held)]


def _is_replayable(entry: Entry, ledger: Ledger) -> bool:
    return entry.stop == STOP_RETURN or all(delta.message in ledger.payloads for delta in entry.deltas)


def _bounded(envelopes: Iterable[bytes]) -> list[bytes]:
    """Keep the first envelopes that fit the protocol's bounds; the next exchange brings the rest."""
    kept: list[bytes] = []
    room = MAX_SYNC_RESPONSE_BYTES - _ENCODING_SLACK_BYTES
    for data in envelopes:
        room -= len(data) + 8
        if room < 0 or len(kept) == MAX_SYNC_MESSAGES:
            break
        kept.append(data)
    return kept
