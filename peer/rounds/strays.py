"""Which other peers are known to be on another line than this one: what they last voted for, or said their tip is.

Within the window of a fork votes decide what is final: two majorities of the same electors share a voter. Beyond it the
electors are forgotten, and no count can tell whether a rival line has become final there; but whoever holds it final is
on it. So as long as a reachable peer is known to be elsewhere, nothing is concluded from age alone (docs/adr/0048), and
what was final here is so no more until the two lines have become one (docs/adr/0054).
"""

from collections.abc import Collection, Iterator, Mapping, Set

from peer.rounds.chain import Chain
from peer.rounds.company import Told
from peer.rounds.entry import Entry
from peer.rounds.fork_choice import is_plainly_behind
from peer.rounds.votes import VoteBook
from peer.types import Digest, PeerId
from peer.wire.sync import Tip


def strays(
    peers: Collection[PeerId], *, chain: Chain, votes: VoteBook, told: Mapping[PeerId, Told]
) -> frozenset[PeerId]:
    """Return those of `peers` whose newest sign is of a line that does not go through the root of `chain`.

    told: what each peer last said of its tip. It knows best where it is, so of its votes only those count that became
    known later. A peer that has given no sign since the line last admitted its work, or since the root, is no stray.
    """
    newest: dict[PeerId, tuple[int, bool]] = {}
    for peer in peers:
        admitted = _last_admitted(chain.tip, peer)
        newest[peer] = chain.root.round - 1 if admitted is None else admitted, False
    for peer, round_number, manifest, parent in _signs(peers, votes, told):
        is_here = manifest in chain or parent in chain
        newest[peer] = max(newest[peer], (round_number, not is_here))  # of one round: which came later is not known
    return frozenset(peer for peer, (_, is_away) in newest.items() if is_away)


def beside_line(
    peers: Set[PeerId], *, chain: Chain, votes: VoteBook, told: Mapping[PeerId, Told]
) -> dict[PeerId, Told]:
    """Return those of `peers` that are known to be on a rival, with the newest entry of it that they were seen at."""
    seen = sorted(seen_beside(chain, votes, told) & peers)
    places = {peer: whereabouts(peer, chain, votes, told) for peer in seen}
    return {
        peer: Told(tip=Tip(entry.digest, entry.round, entry.score), voted=votes.last_round_of(peer), apart=True)
        for peer, entry in places.items()
        if not chain.descends(chain.tip, entry) and not chain.descends(entry, chain.tip)
    }


def left_behind(
    peers: Collection[PeerId], *, chain: Chain, votes: VoteBook, told: Mapping[PeerId, Told]
) -> dict[PeerId, Told]:
    """Return those of `peers` whose newest sign is of `chain`, or of what goes on from it, with that sign.

    When this peer leaves the chain for another one, they are on another chain from then on, until they say that they
    have come over, too.
    """
    found: dict[PeerId, Told] = {}
    for peer in peers:
        said, voted = told.get(peer), votes.last_round_of(peer)
        if said is not None and voted <= said.voted:
            if not said.apart:
                found[peer] = Told(tip=said.tip, voted=voted, apart=True)
        elif voted:
            vote = votes.of(voted)[peer].message
            if vote.manifest in chain or vote.previous in chain:
                entry = chain.get(vote.manifest) or chain.tip  # about as far, where it is not known
                found[peer] = Told(tip=Tip(vote.manifest, voted, entry.score), voted=voted, apart=True)
    return found


def is_forsaken(tip: Digest, *, chain: Chain, votes: VoteBook) -> bool:
    """Return whether `tip` is on a branch that has left the window, or builds on one as far as votes tell."""
    forsaken = set(chain.forsaken)
    for round_number in votes.rounds() if forsaken else ():
        forsaken.update(manifest for manifest, previous in votes.parents(round_number) if previous in forsaken)
    return tip in forsaken


def peers_apart(*, chain: Chain, apart: Mapping[PeerId, Told], history: int) -> list[PeerId]:
    """Return those of `apart`, peers and what they said, whose chain is unknown here and may replace this one."""
    return sorted(
        peer
        for peer, said in apart.items()
        if said.tip.digest not in chain
        and not chain.has_passed(Digest(said.tip.digest))
        and not is_plainly_behind(said.tip.score, chain.tip, history=history)
    )


def seen_beside(chain: Chain, votes: VoteBook, told: Mapping[PeerId, Told]) -> set[PeerId]:
    """Return who has ever given a sign of an entry beside the line to the tip: few, and only they may be on a rival."""
    beside = {entry.digest for entry in chain.beside_tip()}
    camps = (camp for round_number in votes.rounds() for camp in votes.camps(round_number).items())
    seen = {peer for (manifest, _), voters in camps if manifest in beside for peer in voters}
    return seen | {peer for peer, said in told.items() if said.tip.digest in beside}


def whereabouts(peer: PeerId, chain: Chain, votes: VoteBook, told: Mapping[PeerId, Told]) -> Entry:
    """Return the known entry that a peer's newest sign is of; the tip while that has its newest work."""
    place, newest, said = chain.tip, _last_admitted(chain.tip, peer), told.get(peer)
    for round_number in reversed(votes.rounds()):
        if said is not None and round_number <= said.voted:
            break
        vote = votes.vote_of(peer, round_number)
        entry = chain.get(vote) if vote is not None else None
        if entry is not None:
            if newest is None or round_number >= newest:
                place, newest = entry, round_number
            break
    entry = chain.get(said.tip.digest) if said is not None else None
    is_newer = said is not None and (newest is None or said.tip.round >= newest)
    return entry if entry is not None and is_newer else place


def _last_admitted(tip: Entry, peer: PeerId) -> int | None:
    """Return the last round on which a peer that the tip names built work which the line to the tip admitted."""
    missed = tip.missed_by(peer)
    if missed is not None:
        return tip.round - missed - 1
    left = tip.left_in(peer)
    return None if left is None else left - 1


def _signs(
    peers: Collection[PeerId], votes: VoteBook, told: Mapping[PeerId, Told]
) -> Iterator[tuple[PeerId, int, bytes, bytes]]:
    """Yield each sign of where a peer is: round, manifest, and the manifest before where that is known."""
    for round_number in votes.rounds():
        cast = votes.of(round_number)
        for peer in peers:
            ack = cast.get(peer)
            if ack is not None and not (peer in told and round_number <= told[peer].voted):
                yield peer, round_number, ack.message.manifest, ack.message.previous
    for peer in peers:
        if peer in told:
            tip = told[peer].tip
            yield peer, tip.round, tip.digest, b""
