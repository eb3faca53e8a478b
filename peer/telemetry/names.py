"""Short names of peers: what their cards say, made unambiguous; else the end of the peer id."""

import re

from peer.peer_ids import short
from peer.types import PeerId

MAX_NAMES = 10_000
MAX_NAME_LENGTH = 32

_STRANGE = re.compile(r"[^A-Za-z0-9_.-]")


class NameBook:
    """Peer id -> display name. Names are claims of other peers: cleaned, cut, and never trusted."""

    def __init__(self) -> None:
        self._names: dict[PeerId, str] = {}
        self._holders: dict[str, int] = {}

    def learn(self, peer: PeerId, name: str) -> None:
        """Remember what `peer` calls itself; beyond MAX_NAMES the oldest is forgotten."""
        self.forget(peer)
        clean = _STRANGE.sub("", name)[:MAX_NAME_LENGTH]
        if not clean:
            return
        if len(self._names) >= MAX_NAMES:
            self.forget(next(iter(self._names)))
        self._names[peer] = clean
        self._holders[clean] = self._holders.get(clean, 0) + 1

    def forget(self, peer: PeerId) -> None:
        name = self._names.pop(peer, None)
        if name is None:
            return
        self._holders[name] -= 1
        if self._holders[name] == 0:
            del self._holders[name]

    def known(self) -> dict[PeerId, str]:
        """Return what each peer calls itself, whoever was learnt last at the end."""
        return dict(self._names)

    def __contains__(self, peer: PeerId) -> bool:
        """Return whether `peer` has said what it calls itself."""
        return peer in self._names

    def name_of(self, peer: PeerId) -> str:
        """Return the display name; two hosts may both have a `peer-1`, then the end of the id is added."""
        name = self._names.get(peer)
        tail = short(_STRANGE.sub("", peer))
        if name is None:
            return tail or "unknown"
        return name if self._holders[name] == 1 else f"{name}~{tail}"
