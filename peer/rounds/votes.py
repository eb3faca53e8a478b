"""Acks as votes: at most one a peer and round, so that of two rivals at most one gets a majority in any round."""

from collections.abc import Iterable, Mapping

from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import Ack

_MAX_VOTERS = 256
_NOBODY: Mapping[PeerId, Signed[Ack]] = {}


class VoteBook:
    """The votes seen, by round. The first vote of a peer in a round stands; the caller bounds the rounds."""

    def __init__(self) -> None:
        self.version = 0  # grows with every vote
        self._votes: dict[int, dict[PeerId, Signed[Ack]]] = {}

    def add(self, ack: Signed[Ack]) -> bool:
        """Count a vote; return False when this peer has voted in that round before, whichever way."""
        votes = self._votes.setdefault(ack.message.round, {})
        if ack.peer in votes or len(votes) >= _MAX_VOTERS:
            return False
        votes[ack.peer] = ack
        self.version += 1
        return True

    def of(self, round_number: int) -> Mapping[PeerId, Signed[Ack]]:
        return self._votes.get(round_number, _NOBODY)

    def vote_of(self, peer: PeerId, round_number: int) -> Digest | None:
        """Return which manifest `peer` voted for."""
        ack = self.of(round_number).get(peer)
        return Digest(ack.message.manifest) if ack else None

    def abstained(self, peer: PeerId, round_number: int) -> bool:
        """Return whether `peer` has declared, by a later vote, that it gave none in that round."""
        later = (
            votes[peer].message for number, votes in self._votes.items() if number > round_number and peer in votes
        )
        return any(ack.after < round_number for ack in later)

    def voters(self, round_number: int, manifest: Digest, model: Digest) -> frozenset[PeerId]:
        """Return who applied `manifest` of that round and got `model`."""
        return frozenset(
            peer
            for peer, ack in self.of(round_number).items()
            if ack.message.manifest == manifest and ack.message.model == model
        )

    def rounds(self) -> list[int]:
        return sorted(self._votes)

    def held(self, rounds: Iterable[int]) -> list[Signed[Ack]]:
        """Return all votes of the given rounds, to pass on."""
        return [ack for round_number in rounds for ack in self.of(round_number).values()]

    def forget(self, *, before_round: int) -> None:
        for round_number in [number for number in self._votes if number < before_round]:
            del self._votes[round_number]

    def __len__(self) -> int:
        return sum(len(votes) for votes in self._votes.values())
