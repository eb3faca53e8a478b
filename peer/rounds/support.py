"""Who stands behind a manifest: those whose vote, in some one round, is for it or for one that builds on it.

Votes of different rounds are never added up. A peer votes once a round, so in one round at most one of two rivals can
have a majority of the same electors; a peer that changed branches has voted for both, in different rounds.
"""

from peer.rounds.chain import Chain
from peer.rounds.entry import Entry
from peer.rounds.roster import majority
from peer.rounds.votes import VoteBook
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import Ack


class Decisions:
    """What was decided, remembered: asked for with every vote that comes, while most are of rounds long counted."""

    def __init__(self) -> None:
        self._tree: int | None = None
        self._answers: dict[tuple[Digest, frozenset[PeerId]], bool] = {}
        self._counted: dict[tuple[Digest, frozenset[PeerId], int], int] = {}
        self._open: dict[tuple[Digest, frozenset[PeerId]], Entry] = {}

    def is_decided(self, first: Entry, electors: frozenset[PeerId], *, chain: Chain, votes: VoteBook) -> bool:
        """Return whether a majority of `electors` stands behind `first` in some round."""
        self._look_at(chain)
        question = (first.digest, electors)
        if self._answers.get(question):
            return True  # votes are only added, so what is decided stays so
        answer = self._answers[question] = self._count(first, electors, chain=chain, votes=votes)
        if answer:
            self._open.pop(question, None)
        else:
            self._open[question] = first
        return answer

    def anything_new(self, chain: Chain, votes: VoteBook) -> bool:
        """Return whether anything that was asked about and was not decided is decided now, or may be."""
        self._look_at(chain)
        return not self._answers or any(
            self._count(first, electors, chain=chain, votes=votes) for (_, electors), first in self._open.items()
        )

    def forget(self) -> None:
        """Take note that the tree was replaced."""
        self._tree = None

    def _look_at(self, chain: Chain) -> None:
        if self._tree != chain.version:
            self._tree, self._answers, self._counted, self._open = chain.version, {}, {}, {}

    def _count(self, first: Entry, electors: frozenset[PeerId], *, chain: Chain, votes: VoteBook) -> bool:
        need = majority(len(electors))
        for round_number in votes.rounds():
            question, cast = (first.digest, electors, round_number), votes.num_cast(round_number)
            if round_number < first.round or cast < need or self._counted.get(question) == cast:
                continue
            if _behind(electors, round_number, first, chain=chain, votes=votes) >= need:
                return True
            self._counted[question] = cast
        return False


def _behind(electors: frozenset[PeerId], round_number: int, first: Entry, *, chain: Chain, votes: VoteBook) -> int:
    """Return how many of `electors` stood behind `first` in a round; equal votes are looked at once."""
    count = 0
    for (manifest, model), camp in votes.camps(round_number).items():
        voters, target = electors & camp, chain.get(manifest)
        if target is not None:
            count += len(voters) if target.model == model and chain.descends(target, first) else 0
        else:  # traced along the voter's own votes, which may differ from another's
            count += sum(stance(peer, round_number, first, chain=chain, votes=votes) is True for peer in voters)
    return count


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
    for round_number in range(first.round, through_round + 1):
        stances = {peer: stance(peer, round_number, first, chain=chain, votes=votes) for peer in electors}
        possible = [peer for peer, behind in stances.items() if behind or (behind is None and peer in reachable)]
        if len(possible) >= need:
            return True
    return False


def stance(peer: PeerId, round_number: int, first: Entry, *, chain: Chain, votes: VoteBook) -> bool | None:
    """Return whether `peer` stood behind `first` in a round, None where that is not known here."""
    ack = votes.of(round_number).get(peer)
    if ack is None:
        return False if votes.abstained(peer, round_number) else None
    target = chain.get(ack.message.manifest)
    if target is not None:
        return target.model == ack.message.model and chain.descends(target, first)
    return _stance_by_votes(peer, ack, first, chain=chain, votes=votes)


def _stance_by_votes(peer: PeerId, ack: Signed[Ack], first: Entry, *, chain: Chain, votes: VoteBook) -> bool | None:
    """Trace a vote for an unknown manifest back along the voter's own votes, each of which names its parent."""
    while ack.message.round > first.round:
        parent = chain.get(ack.message.previous)
        if parent is not None:
            return chain.descends(parent, first)
        before = votes.of(ack.message.round - 1).get(peer)
        if before is None or before.message.manifest != ack.message.previous:
            return None
        ack = before
    return False  # in the round of `first` it voted for something else
