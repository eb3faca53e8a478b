"""The statements that wait to be passed on with other messages, the least told first.

Source: Das et al. 2002, "SWIM", section 4.1: each is told at most lambda log n times, in batches of bounded size.
"""

import math
from dataclasses import dataclass

from peer.types import PeerId
from peer.wire.limits import MAX_STATEMENTS
from peer.wire.membership import SignedStatement, StatementKind

MAX_RUMOURS = 256
"""Beyond it the one that was told most often goes."""

TELLINGS = 3
"""Lambda: 3 log n tellings reach all but n^-4 of the members (Das et al. 2002, section 4.1)."""

_Key = tuple[StatementKind, PeerId, PeerId]


@dataclass(slots=True)
class _Rumour:
    statement: SignedStatement
    told: int = 0


class Rumours:
    """One statement of each kind, author and subject; a newer one takes the older one's place."""

    def __init__(self) -> None:
        self._held: dict[_Key, _Rumour] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, statement: SignedStatement) -> bool:
        """Return whether it was news."""
        key = (statement.kind, statement.subject, statement.author)
        held = self._held.get(key)
        if held is not None and held.statement.incarnation >= statement.incarnation:
            return False
        self._held.pop(key, None)
        if len(self._held) >= MAX_RUMOURS:
            del self._held[max(self._held, key=lambda other: self._held[other].told)]
        self._held[key] = _Rumour(statement)
        return True

    def forget(self, subject: PeerId, *, below: int) -> None:
        """Drop suspicions of `subject` in incarnations below `below`: it has refuted them."""
        for key, rumour in list(self._held.items()):
            if key[:2] == (StatementKind.SUSPECT, subject) and rumour.statement.incarnation < below:
                del self._held[key]

    def batch(self, to: PeerId, *, members: int) -> tuple[SignedStatement, ...]:
        """Return at most MAX_STATEMENTS for `to`: first those that accuse it (Lifeguard's buddy system), then the least
        told."""
        limit = math.ceil(TELLINGS * math.log2(members + 2))
        ranked = sorted(self._held.items(), key=lambda item: (not _accuses(item[1], to), item[1].told))
        for key, rumour in ranked[:MAX_STATEMENTS]:
            rumour.told += 1
            if rumour.told >= limit:
                del self._held[key]
        return tuple(rumour.statement for _, rumour in ranked[:MAX_STATEMENTS])


def _accuses(rumour: _Rumour, peer: PeerId) -> bool:
    return rumour.statement.kind is StatementKind.SUSPECT and rumour.statement.subject == peer
