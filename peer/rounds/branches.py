"""From the tree of manifests and the votes to a decision of `fork_choice`."""

from peer.rounds.chain import Chain
from peer.rounds.entry import Entry, electorate
from peer.rounds.fork_choice import Branch, prefer
from peer.rounds.roster import peers_of
from peer.rounds.votes import VoteBook
from peer.types import PeerId, Seconds


def better(
    challenger: Entry,
    current: Entry,
    *,
    chain: Chain,
    votes: VoteBook,
    me: PeerId,
    held_s: Seconds,
    patience_s: Seconds,
    reachable: frozenset[PeerId],
) -> bool:
    """Return whether a peer at `current` should go to `challenger`, which it could apply.

    held_s: how long ago this peer voted at the fork. reachable: whose vote may still come in, this peer included.
    """
    ancestor, ours, theirs = chain.fork(current, challenger)
    if not theirs:
        return False  # the challenger is our own past
    if not ours:
        return True  # it builds on us
    return prefer(
        _branch(ancestor, theirs, votes, reachable),
        _branch(ancestor, ours, votes, reachable),
        members=len(peers_of(ancestor.roster)),
        voted=votes.vote_of(me, ancestor.digest) == ours[0].digest,
        held_s=held_s,
        patience_s=patience_s,
    )


def _branch(ancestor: Entry, line: list[Entry], votes: VoteBook, reachable: frozenset[PeerId]) -> Branch:
    first = line[0]
    members = electorate(ancestor, first)
    behind = votes.voters(ancestor.digest, first.digest, first.model) & members
    elsewhere = votes.voters_elsewhere(ancestor.digest, first.digest) & members
    return Branch(
        first_digest=first.digest,
        first_view=first.view,
        votes=len(behind),
        undecided=len((members & reachable) - behind - elsewhere),
        score=line[-1].score,
    )
