"""On which entries of the line a rival builds that a reachable peer is known to be on (strays.py tells who is where).

Asked after every message while a fork is known, so only those peers are looked at again that gave a sign since.
"""

from peer.rounds.chain import Chain
from peer.rounds.company import Company
from peer.rounds.entry import Entry
from peer.rounds.fork_choice import is_plainly_behind
from peer.rounds.strays import seen_beside, whereabouts
from peer.rounds.votes import VoteBook
from peer.types import Digest, PeerId


class Contests:
    """The contested entries of the line to the tip. version: grows whenever the answer changes."""

    def __init__(self, *, history: int) -> None:
        """history: rounds of manifests that are kept."""
        self._history = history
        self.version = 0
        self._key: object = None
        self._signs = 0, 0
        self._reachable: frozenset[PeerId] = frozenset()
        self._beside: frozenset[bytes] = frozenset()
        self._forks: dict[Digest, Digest | None] = {}
        self._contested: dict[PeerId, Digest | None] = {}
        self._found: dict[Digest, PeerId] = {}

    def look(self, chain: Chain, votes: VoteBook, company: Company) -> dict[Digest, PeerId]:
        """Return the contested entries of the line to the tip, each with a peer that is on a rival of what follows it.

        Right after genesis a rival does not count when it is plainly behind. The two sides share no roster there, and
        a peer that has started alone beside a swarm will come over to it.
        """
        if not chain.rivals():
            return self._tell({})
        key, signs = (chain, chain.version, chain.tip.digest), (votes.version, company.version)
        reachable = company.alive
        if key == self._key and signs == self._signs and reachable is self._reachable:
            return self._found
        peers = self._new_signs(votes, company) if key == self._key else None
        is_same = peers is not None and reachable is self._reachable
        if peers is None:
            self._beside = frozenset(entry.digest for entry in chain.beside_tip())
            self._forks, self._contested = {}, {}
            peers = seen_beside(chain, votes, company.told)
        self._key, self._signs, self._reachable = key, signs, reachable
        changed = {peer: self._contested_by(peer, chain, votes, company) for peer in peers}
        if is_same and changed.items() <= self._contested.items():
            return self._found
        self._contested |= changed
        rivals = sorted(peer for peer, entry in self._contested.items() if entry and peer in company.reachable)
        return self._tell({entry: peer for peer in rivals if (entry := self._contested[peer])})

    def _new_signs(self, votes: VoteBook, company: Company) -> set[PeerId] | None:
        """Return who has voted or told its tip since the last look and may be on a rival; None: anybody may."""
        cast, told = votes.added_since(self._signs[0]), company.told_since(self._signs[1])
        if cast is None or told is None:
            return None
        beside, known = self._beside, self._contested
        voters = {ack.peer for ack in cast if ack.peer in known or ack.message.manifest in beside}
        tips = {peer: company.last_tip(peer) for peer in told}
        tellers = {peer for peer, tip in tips.items() if peer in known or tip in beside}
        return voters | tellers

    def _contested_by(self, peer: PeerId, chain: Chain, votes: VoteBook, company: Company) -> Digest | None:
        """Return the entry of the line from which the rival parts that `peer` was last seen on."""
        place = whereabouts(peer, chain, votes, company.told)
        if place.digest not in self._forks:
            self._forks[place.digest] = self._fork(place, chain)
        return self._forks[place.digest]

    def _fork(self, place: Entry, chain: Chain) -> Digest | None:
        ancestor, ours, theirs = chain.fork(chain.tip, place)
        if not ours or not theirs:
            return None
        counts = ancestor.roster or not is_plainly_behind(place.score, chain.tip, history=self._history)
        return ancestor.digest if counts else None

    def _tell(self, found: dict[Digest, PeerId]) -> dict[Digest, PeerId]:
        if found != self._found or list(found) != list(self._found):
            self._found = found
            self.version += 1
        return self._found
