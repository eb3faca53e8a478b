"""Group seals that are waiting for a top manifest, by the manifest that they build on."""

from collections import deque
from collections.abc import Callable, Collection

from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import GroupSeal

_MAX_BASES = 16
"""Bases that are not near the tip: a manifest that may still come, or none that ever will."""
_MAX_BASES_PER_SEALER = 2
"""Of these, so many with seals of one peer: it seals on one base at a time."""
_NEWS = 128
"""Seals that came last and can be asked for; whoever has not looked for longer looks through all."""
_MAX_RIVALS = 8
"""Seals of one group: by its sealer, and by backups that did not hear from it in time or found it lying."""


class GroupPool:
    """At most one seal a sealer and base, a few a group.

    Bounded: seals on bases near the tip stay, of others the oldest go first.
    """

    def __init__(self, *, is_near: Callable[[Digest], bool]) -> None:
        """is_near: whether a base is in the chain, near the tip."""
        self._is_near = is_near
        self.version = 0  # grows with every seal, and with every one that is dropped
        self.num_lost = 0  # seals that were held and no longer are; those of one base count as one
        self._news: deque[Signed[GroupSeal]] = deque(maxlen=_NEWS)
        self._by_base: dict[Digest, dict[Digest, tuple[Signed[GroupSeal], int]]] = {}
        self._base_of: dict[Digest, Digest] = {}
        self._by_group: dict[tuple[Digest, int], list[Signed[GroupSeal]]] = {}

    def add(self, seal: Signed[GroupSeal], *, rank: int) -> bool:
        """Keep `seal`; return False when it is held already, or there is no room for it.

        rank: the sealer's among those who seal for its group. Where there are too many, the last in line has to go.
        """
        base = Digest(seal.message.base)
        if not self.takes(seal.peer, base=base, group=seal.message.group, rank=rank):
            return False
        if not self._is_near(base) and not self._make_room_afar(base, seal):
            return False
        seals = self._by_base.setdefault(base, {})
        rivals = self._by_group.setdefault((base, seal.message.group), [])
        if len(rivals) >= _MAX_RIVALS:
            last = self._last_in_line(base, rivals)
            self._remove(base, last)
            self._lost()
        seals[seal.digest] = seal, rank
        self._base_of[seal.digest] = base
        rivals.append(seal)
        self.version += 1
        self._news.append(seal)
        return True

    def takes(self, sealer: PeerId, *, base: Digest, group: int, rank: int) -> bool:
        """Return whether `add` would keep a seal of `group` by `sealer`, who has not sealed it on `base` before."""
        rivals = self.of_group(base, group)
        if any(held.peer == sealer for held in rivals):
            return False
        if len(rivals) < _MAX_RIVALS:
            return True
        return rank < self._by_base[base][self._last_in_line(base, rivals).digest][1]

    def get(self, digest: bytes) -> Signed[GroupSeal] | None:
        base = self._base_of.get(Digest(digest))
        return None if base is None else self._by_base[base][Digest(digest)][0]

    def added_since(self, version: int) -> list[Signed[GroupSeal]] | None:
        """Return the seals that came after `version`, oldest first; None when not all are known, or one was dropped."""
        count = self.version - version
        return list(self._news)[len(self._news) - count :] if count <= len(self._news) else None

    def on_base(self, base: Digest) -> list[Signed[GroupSeal]]:
        """Return the seals for the round after `base`, in the order in which they came."""
        return [seal for seal, _ in self._by_base.get(base, {}).values()]

    def of_group(self, base: Digest, group: int) -> list[Signed[GroupSeal]]:
        """Return the seals of one group for the round after `base`, in the order in which they came."""
        return self._by_group.get((base, group), [])

    def announcing(self, payload: Digest) -> list[Signed[GroupSeal]]:
        """Return the seals that name `payload`."""
        return [
            seal for seals in self._by_base.values() for seal, _ in seals.values() if seal.message.payload == payload
        ]

    def payloads(self) -> set[bytes]:
        """Return the hashes of the payloads that the seals name."""
        return {seal.message.payload for seals in self._by_base.values() for seal, _ in seals.values()}

    def bases(self) -> list[Digest]:
        return list(self._by_base)

    def forget(self, *, keep: Collection[Digest]) -> None:
        for base in [base for base in self._by_base if base not in keep]:
            self._drop(base)

    def __len__(self) -> int:
        return len(self._base_of)

    def _make_room_afar(self, base: Digest, seal: Signed[GroupSeal]) -> bool:
        """Make room for a seal on a base that leads nowhere yet, at the cost of others such alone."""
        afar = [other for other in self._by_base if not self._is_near(other)]
        own = [held for other in afar for held, _ in self._by_base[other].values() if held.peer == seal.peer]
        if any(held.message.base == base for held in own):
            return False
        if len(own) >= _MAX_BASES_PER_SEALER:
            oldest = min(own, key=lambda held: held.message.round)
            if oldest.message.round > seal.message.round:
                return False
            self._remove(Digest(oldest.message.base), oldest)
            self._lost()
        afar = [other for other in afar if other in self._by_base and other != base]
        for other in afar[: max(0, len(afar) - _MAX_BASES + 1)]:
            self._drop(other)
        return True

    def _remove(self, base: Digest, seal: Signed[GroupSeal]) -> None:
        del self._by_base[base][seal.digest], self._base_of[seal.digest]
        self._by_group[base, seal.message.group].remove(seal)
        if not self._by_group[base, seal.message.group]:
            del self._by_group[base, seal.message.group]
        if not self._by_base[base]:
            del self._by_base[base]

    def _last_in_line(self, base: Digest, rivals: list[Signed[GroupSeal]]) -> Signed[GroupSeal]:
        seals = self._by_base[base]
        return max(rivals, key=lambda held: (seals[held.digest][1], held.digest))

    def _drop(self, base: Digest) -> None:
        for digest, (seal, _) in self._by_base.pop(base).items():
            del self._base_of[digest]
            self._by_group.pop((base, seal.message.group), None)
        self._lost()

    def _lost(self) -> None:
        self.num_lost += 1
        self._news.clear()
        self.version += 1
