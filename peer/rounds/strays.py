"""Which other peers are known to be on another line than this one: what they last voted for, or said their tip is.

Within the window of a fork votes decide what is final: two majorities of the same electors share a voter. Beyond it the
electors are forgotten, and no count can tell whether a rival line has become final there; but whoever holds it final is
on it. So as long as a reachable peer is known to be elsewhere, nothing is concluded from age alone (docs/adr/0048).
"""

from collections.abc import Collection, Iterable, Mapping

from peer.rounds.chain import Chain
from peer.rounds.company import Told
from peer.rounds.votes import VoteBook
from peer.types import PeerId


def strays(
    peers: Collection[PeerId], *, chain: Chain, votes: VoteBook, told: Mapping[PeerId, Told]
) -> frozenset[PeerId]:
    """Return those of `peers` whose newest sign is of a line that does not go through the root of `chain`.

    told: what each peer last said of its tip; it knows best where it is, so of its votes only those count that were not
    known by then. A peer that has given no sign since the line last admitted its work, or since the root, is none.
    """
    seen = _admitted(chain)
    newest = {peer: (seen.get(peer, chain.root.round - 1), False) for peer in peers}
    for peer, round_number, is_here in (*_votes(peers, chain, votes, told), *_tips(peers, chain, told)):
        newest[peer] = max(newest[peer], (round_number, not is_here))  # of one round: which came later is not known
    return frozenset(peer for peer, (_, is_away) in newest.items() if is_away)


def _admitted(chain: Chain) -> dict[PeerId, int]:
    """Return the last round on which each peer that the tip names built work which the line to the tip admitted."""
    tip = chain.tip
    seen = {PeerId(entry.peer): entry.round - 1 for entry in tip.departed}
    return seen | {PeerId(entry.peer): tip.round - entry.missed - 1 for entry in tip.roster}


def _votes(
    peers: Collection[PeerId], chain: Chain, votes: VoteBook, told: Mapping[PeerId, Told]
) -> Iterable[tuple[PeerId, int, bool]]:
    for round_number in votes.rounds():
        for peer, ack in votes.of(round_number).items():
            is_older = peer in told and round_number <= told[peer].voted
            if peer in peers and not is_older:
                yield peer, round_number, ack.message.manifest in chain or ack.message.previous in chain


def _tips(peers: Collection[PeerId], chain: Chain, told: Mapping[PeerId, Told]) -> Iterable[tuple[PeerId, int, bool]]:
    for peer in told.keys() & set(peers):
        tip = told[peer].tip
        yield peer, tip.round, tip.digest in chain
