"""Acks as votes: at most one a peer and round, so that of two rivals at most one gets a majority in any round."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set

from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import Ack

_MAX_VOTERS = 256
_MAX_LIARS = 256
_NEWS = 64
"""Votes that came last and can be asked for; whoever has not looked for longer looks through all."""
_NOBODY: Mapping[PeerId, Signed[Ack]] = {}
_NO_CAMPS: Mapping[tuple[bytes, bytes], Set[PeerId]] = {}
_NO_PARENTS: Set[tuple[bytes, bytes]] = frozenset()


class VoteBook:
    """The votes seen, by round. The first vote of a peer in a round stands; the caller bounds the rounds.

    Where a round is full, votes of those who can decide something displace others.
    """

    def __init__(self, *, is_elector: Callable[[PeerId], bool] = lambda _peer: False) -> None:
        self._is_elector = is_elector
        self.version = 0  # grows with every vote
        self._votes: dict[int, dict[PeerId, Signed[Ack]]] = {}
        self._camps: dict[int, dict[tuple[bytes, bytes], set[PeerId]]] = {}
        self._parents: dict[int, set[tuple[bytes, bytes]]] = {}
        self._rounds: list[int] = []
        self._cast: dict[int, int] = {}
        self._liars: dict[PeerId, None] = {}
        self._news: deque[Signed[Ack]] = deque(maxlen=_NEWS)

    def add(self, ack: Signed[Ack]) -> bool:
        """Count a vote. Return False if its peer has voted in that round before or is discarded, or without room."""
        vote, peer = ack.message, ack.peer
        votes = self._votes.get(vote.round)
        if votes is None:
            votes = self._votes[vote.round] = {}
            self._camps[vote.round], self._parents[vote.round], self._cast[vote.round] = {}, set(), 0
        if peer in votes or peer in self._liars or not self._make_room(votes, peer):
            return False
        self._cast[vote.round] += 1
        votes[peer] = ack
        camps, camp = self._camps[vote.round], (vote.manifest, vote.model)
        if camp in camps:
            camps[camp].add(peer)
        else:
            camps[camp] = {peer}
        self._parents[vote.round].add((vote.manifest, vote.previous))
        self.version += 1
        self._news.append(ack)
        return True

    def added_since(self, version: int) -> list[Signed[Ack]] | None:
        """Return the votes that came after `version`, oldest first; None if some are forgotten or discarded."""
        count = self.version - version
        if count > len(self._news):
            return None
        return [self._news[index] for index in range(-count, 0)]

    def discard(self, peer: PeerId) -> None:
        """Count no vote of `peer`, which has signed contradicting statements: it may have voted for both rivals."""
        self._liars[peer] = None
        if len(self._liars) > _MAX_LIARS:
            harmless = (liar for liar in self._liars if not self._is_elector(liar))
            del self._liars[next(harmless, next(iter(self._liars)))]
        for number in [number for number, votes in self._votes.items() if peer in votes]:
            self._remove(number, peer)
        self._news.clear()
        self.version += 1

    def _make_room(self, votes: Mapping[PeerId, Signed[Ack]], peer: PeerId) -> bool:
        if len(votes) < _MAX_VOTERS:
            return True
        idle = next((voter for voter in votes if not self._is_elector(voter)), None)
        if idle is None or not self._is_elector(peer):
            return False
        self._remove(votes[idle].message.round, idle)
        self._news.clear()
        self.version += 1
        return True

    def _remove(self, round_number: int, peer: PeerId) -> None:
        votes, camps = self._votes[round_number], self._camps[round_number]
        vote = votes.pop(peer).message
        camps[vote.manifest, vote.model].discard(peer)
        if not camps[vote.manifest, vote.model]:
            del camps[vote.manifest, vote.model]
        self._parents[round_number] = {(ack.message.manifest, ack.message.previous) for ack in votes.values()}

    def num_cast(self, round_number: int) -> int:
        """Return a number that grows with each vote of a round, also when one takes the place of another."""
        return self._cast.get(round_number, 0)

    def of(self, round_number: int) -> Mapping[PeerId, Signed[Ack]]:
        return self._votes.get(round_number, _NOBODY)

    def camps(self, round_number: int) -> Mapping[tuple[bytes, bytes], Set[PeerId]]:
        """Return who voted alike in a round, by (manifest, model). There are few camps, however many vote."""
        return self._camps.get(round_number, _NO_CAMPS)

    def parents(self, round_number: int) -> Set[tuple[bytes, bytes]]:
        """Return what those who voted in a round say that their manifests build on, as (manifest, previous)."""
        return self._parents.get(round_number, _NO_PARENTS)

    def vote_of(self, peer: PeerId, round_number: int) -> Digest | None:
        """Return which manifest `peer` voted for."""
        ack = self.of(round_number).get(peer)
        return Digest(ack.message.manifest) if ack else None

    def last_round_of(self, peer: PeerId) -> int:
        """Return the latest round that a vote of `peer` is known of, 0 without any."""
        return next((number for number in reversed(self.rounds()) if peer in self._votes[number]), 0)

    def abstained(self, peer: PeerId, round_number: int) -> bool:
        """Return whether `peer` has declared, by a later vote, that it gave none in that round; or is discarded."""
        if peer in self._liars:
            return True
        later = (
            votes[peer].message for number, votes in self._votes.items() if number > round_number and peer in votes
        )
        return any(ack.after < round_number for ack in later)

    def voters(self, round_number: int, manifest: Digest, model: Digest) -> frozenset[PeerId]:
        """Return who applied `manifest` of that round and got `model`."""
        return frozenset(self.camps(round_number).get((manifest, model), ()))

    def rounds(self) -> list[int]:
        """Return the rounds that votes are known of, oldest first."""
        if len(self._rounds) != len(self._votes):
            self._rounds = sorted(self._votes)
        return self._rounds

    def held(self, rounds: Iterable[int]) -> Iterator[Signed[Ack]]:
        """Return all votes of the given rounds, to pass on."""
        return (ack for round_number in rounds for ack in self.of(round_number).values())

    def forget(self, *, before_round: int) -> None:
        for round_number in [number for number in self._votes if number < before_round]:
            del self._votes[round_number]
            del self._camps[round_number], self._parents[round_number], self._cast[round_number]
        self._rounds = []

    def __len__(self) -> int:
        return sum(len(votes) for votes in self._votes.values())
