"""Who stands behind a manifest: those whose vote, in some one round, is for it or for one that builds on it.

Votes of different rounds are never added up. A peer votes once a round, so in one round at most one of two rivals can
have a majority of the same electors; a peer that changed branches has voted for both, in different rounds.
"""

from collections.abc import Iterator

from peer.rounds.chain import Chain
from peer.rounds.entry import Entry
from peer.rounds.roster import majority
from peer.rounds.votes import VoteBook
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import Ack


def is_decided(first: Entry, electors: frozenset[PeerId], *, chain: Chain, votes: VoteBook) -> bool:
    """Return whether a majority of `electors` stands behind `first` in some round."""
    need = majority(len(electors))
    return any(len(behind & electors) >= need for behind, _ in _tallies(first, chain, votes))


def may_be_decided(
    first: Entry,
    electors: frozenset[PeerId],
    *,
    chain: Chain,
    votes: VoteBook,
    reachable: frozenset[PeerId],
    through_round: int,
) -> bool:
    """Return whether a majority could stand behind `first` in some round up to `through_round`, as far as known here.

    A vote that is not known here counts for `first` if its voter can be reached: it may yet turn up.
    """
    need = majority(len(electors))
    return any(
        len((behind & electors) | ((electors & reachable) - elsewhere)) >= need
        for behind, elsewhere in _tallies(first, chain, votes, through_round=through_round)
    )


def target_of(ack: Signed[Ack], chain: Chain) -> Entry | None:
    """Return the manifest that a vote is for, if it is known here."""
    return chain.get(Digest(ack.message.manifest))


def _tallies(
    first: Entry, chain: Chain, votes: VoteBook, *, through_round: int = 0
) -> Iterator[tuple[frozenset[PeerId], frozenset[PeerId]]]:
    """Yield, for each round, who stands behind `first` and who is known not to."""
    last = max([through_round, *votes.rounds()])
    for round_number in range(first.round, last + 1):
        behind: set[PeerId] = set()
        elsewhere: set[PeerId] = set()
        for peer, ack in votes.of(round_number).items():
            target = target_of(ack, chain)
            if target is not None:
                agrees = target.model == ack.message.model and chain.descends(target, first)
                (behind if agrees else elsewhere).add(peer)
        yield frozenset(behind), frozenset(elsewhere)
