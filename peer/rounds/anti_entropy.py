"""Anti-entropy: what two peers tell each other so that both end up with the same chain (DESIGN section 4)."""

from collections.abc import Iterable

from peer.rounds.chain import Chain
from peer.rounds.entry import Entry
from peer.rounds.headers import HeaderPool
from peer.rounds.votes import VoteBook
from peer.types import Digest
from peer.wire.envelope import AnySigned
from peer.wire.limits import MAX_SYNC_MESSAGES, MAX_SYNC_RESPONSE_BYTES
from peer.wire.sync import SnapshotOffer, SyncRequest, SyncResponse, Tip

_MAX_RECENT = 64
_MAX_HELD = 128
_ENCODING_SLACK_BYTES = 8 * 1024


def tip_of(entry: Entry) -> Tip:
    return Tip(entry.digest, entry.round, entry.score)


def request(chain: Chain, pool: HeaderPool, votes: VoteBook) -> SyncRequest:
    """Say what is held here: the line to the tip, the headers for the next round, the votes on the tip."""
    line = chain.line_to(chain.tip)[::-1]
    return SyncRequest(
        tip=tip_of(chain.tip),
        recent=tuple(entry.digest for entry in line[:_MAX_RECENT]),
        headers=tuple(header.digest for header in pool.on_base(chain.tip.digest))[:_MAX_HELD],
        acks=tuple(ack.digest for ack in votes.held([chain.tip.parent]))[:_MAX_HELD],
    )


def response(
    asked: SyncRequest, chain: Chain, pool: HeaderPool, votes: VoteBook, snapshot: SnapshotOffer | None
) -> SyncResponse:
    """Answer with what the asking peer lacks; `snapshot` is offered when our window does not reach back to it."""
    line = chain.line_to(chain.tip)
    known = {Digest(digest) for digest in asked.recent}
    missing = [entry for entry in line if entry.digest not in known and entry.manifest is not None]
    can_replay = not missing or missing[0].parent in known
    parents = [entry.parent for entry in line] if missing else [chain.tip.parent]
    held = set(asked.headers) | set(asked.acks)
    newer: list[AnySigned] = [*pool.on_base(chain.tip.digest), *votes.held(parents)]
    envelopes = [entry.manifest.data for entry in missing if entry.manifest] if can_replay else []
    envelopes += [signed.data for signed in newer if signed.digest not in held]
    return SyncResponse(
        tip=tip_of(chain.tip),
        messages=tuple(_bounded(envelopes)),
        snapshot=None if can_replay else snapshot,
    )


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
