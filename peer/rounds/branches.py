"""From the tree of manifests and the votes to a decision of `fork_choice`."""

from collections.abc import Callable

from peer.rounds.entry import Entry, electorate
from peer.rounds.fork_choice import Branch, prefer
from peer.rounds.ledger import Ledger
from peer.rounds.stinginess import FRESH_ROUNDS, ToldAt, is_outnumbered_by_rival
from peer.rounds.support import may_be_decided
from peer.types import PeerId


def better(challenger: Entry, current: Entry, *, ledger: Ledger, told_at: ToldAt, bound: Callable[[], bool]) -> bool:
    """Return whether a peer at `current` should go to `challenger`, which it could apply.

    bound: returns whether a vote for the branch of `current` holds this peer back: it may still be decided by that
    vote, and has not been waited for long enough. It is asked only when that matters, as is told_at.
    """
    ancestor, ours, theirs = ledger.chain.fork(current, challenger)
    if not theirs:
        return False  # the challenger is our own past
    if not ours:
        return not _is_unwelcome(ancestor, theirs, ledger, told_at, is_fresh=True)  # it builds on us
    is_fresh = len(ours) <= FRESH_ROUNDS
    challenging, followed = (_branch(ancestor, line, ledger, told_at, is_fresh=is_fresh) for line in (theirs, ours))
    return prefer(challenging, followed, bound=bound)


def open_vote(current: Entry, challenger: Entry, *, ledger: Ledger, alive: frozenset[PeerId]) -> int | None:
    """Return the last round in which this peer voted for the branch of `current`, while that may still be decided.

    None: it never did, or the votes known here rule out a majority, so that this peer is free to vote for the other.
    """
    ancestor, ours, theirs = ledger.chain.fork(current, challenger)
    if not ours or not theirs or not ancestor.roster:
        return None
    voted = _last_vote_behind(ours[0], ledger)
    if voted is None:
        return None
    rival = electorate(ancestor, theirs[0])
    if ledger.is_decided(theirs[0], rival):
        return None
    electors = electorate(ancestor, ours[0])
    undecided = may_be_decided(
        ours[0], electors, chain=ledger.chain, votes=ledger.votes, reachable=alive, through_round=voted
    )
    return voted if undecided else None


def _last_vote_behind(first: Entry, ledger: Ledger) -> int | None:
    for round_number in reversed(ledger.votes.rounds()):
        voted = ledger.votes.vote_of(ledger.me, round_number)
        target = ledger.chain.get(voted) if voted else None
        if target is not None and ledger.chain.descends(target, first):
            return round_number
    return None


def _branch(ancestor: Entry, line: list[Entry], ledger: Ledger, told_at: ToldAt, *, is_fresh: bool) -> Branch:
    first = line[0]
    electors = electorate(ancestor, first)
    return Branch(
        first_digest=first.digest,
        first_view=first.view,
        decided=bool(ancestor.roster) and ledger.is_decided(first, electors),
        score=line[-1].score,
        unwelcome=_is_unwelcome(ancestor, line, ledger, told_at, is_fresh=is_fresh),
    )


def _is_unwelcome(ancestor: Entry, line: list[Entry], ledger: Ledger, told_at: ToldAt, *, is_fresh: bool) -> bool:
    """Return whether this peer should not follow the branch, unless a majority has decided for it.

    So it is when the branch holds work that this peer does not take, or when, while the fork is fresh, it begins with
    much less work than a rival.
    """
    if is_fresh and is_outnumbered_by_rival(ancestor, line, ledger, told_at):
        return True
    unwelcome = ledger.eligibility.unwelcome(line)
    if not unwelcome:
        return False
    parents = dict(zip((entry.digest for entry in line), [ancestor, *line], strict=False))
    return any(not ledger.is_decided(entry, electorate(parents[entry.digest], entry)) for entry in unwelcome)
