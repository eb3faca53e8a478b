"""Acks as votes: at most one a peer and parent, so that of two rival manifests at most one gets a majority."""

from collections.abc import Collection

from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import Ack

_MAX_VOTERS = 256
_MAX_PARENTS = 64


class VoteBook:
    """The votes seen, by the parent they are about. Bounded: the oldest parents go first."""

    def __init__(self) -> None:
        self._votes: dict[Digest, dict[PeerId, Signed[Ack]]] = {}

    def add(self, ack: Signed[Ack]) -> bool:
        """Count a vote; return False when this peer has voted on that parent before, whichever way."""
        parent = Digest(ack.message.previous)
        votes = self._votes.setdefault(parent, {})
        if ack.peer in votes or len(votes) >= _MAX_VOTERS:
            return False
        votes[ack.peer] = ack
        while len(self._votes) > _MAX_PARENTS:
            del self._votes[next(iter(self._votes))]
        return True

    def vote_of(self, peer: PeerId, parent: Digest) -> Digest | None:
        ack = self._votes.get(parent, {}).get(peer)
        return Digest(ack.message.manifest) if ack else None

    def voters(self, parent: Digest, manifest: Digest, model: Digest) -> frozenset[PeerId]:
        """Return who applied `manifest` and got `model`."""
        return frozenset(
            peer
            for peer, ack in self._votes.get(parent, {}).items()
            if ack.message.manifest == manifest and ack.message.model == model
        )

    def voters_elsewhere(self, parent: Digest, manifest: Digest) -> frozenset[PeerId]:
        """Return who voted for a rival of `manifest`."""
        return frozenset(peer for peer, ack in self._votes.get(parent, {}).items() if ack.message.manifest != manifest)

    def held(self, parents: Collection[Digest]) -> list[Signed[Ack]]:
        """Return all votes about the given parents, to pass on."""
        return [ack for parent in parents for ack in self._votes.get(parent, {}).values()]

    def forget(self, *, keep: Collection[Digest]) -> None:
        for parent in [parent for parent in self._votes if parent not in keep]:
            del self._votes[parent]
