"""The seals of this peer: made when they are due, and never twice on one parent.

A second seal on the same parent would be held against this process (equivocation.py), also when the first was undone or
lost since. Should it be lost, others seal.
"""

from peer.errors import ProtocolError
from peer.rounds.effects import Publish, Refused
from peer.rounds.entry import Entry
from peer.rounds.group_sealer import seal_group
from peer.rounds.ledger import Ledger
from peer.rounds.round_in_progress import RoundInProgress
from peer.rounds.sealer import seal_round
from peer.types import Digest, Seconds
from peer.wire.limits import INLINE_PAYLOAD_BYTES
from peer.wire.messages import announcement

_MAX_REMEMBERED = 64
"""Parents on which this process has sealed: more rounds than a second seal is held against one (equivocation.py)."""


class OwnSeals:
    """Seals rounds and groups when it is this peer's turn.

    due_at: when this peer should seal next, as of its last look; None: not before something else changes.
    """

    def __init__(self, ledger: Ledger, current: RoundInProgress) -> None:
        self._ledger = ledger
        self._round = current
        self._rounds: dict[Digest, None] = {}  # by the manifests that they build on
        self._groups: dict[Digest, None] = {}
        self.due_at: Seconds | None = None

    def clear(self) -> None:
        """Hold nothing as due."""
        self.due_at = None

    def seal_round(self, now: Seconds) -> Entry | Refused | None:
        """Seal the round, and add it to the chain; None: it is not due. Refused: others would refuse the seal."""
        ledger = self._ledger
        if ledger.tip.digest in self._rounds or not self._is_due(self._round.due(now), now):
            return None
        _remember(self._rounds, ledger.tip.digest)
        try:
            entry = seal_round(ledger)
        except ProtocolError as error:
            return self._unsealed(error)
        ledger.chain.add(entry)
        return entry

    def seal_group(self, now: Seconds) -> Publish | Refused | None:
        """Seal the own group, and enter that here; None: it is not due. Refused: others would refuse the seal."""
        due, parent = self._round.groups.group_due(now), self._ledger.tip.digest
        if parent in self._groups or not self._is_due(due, now):
            return None
        _remember(self._groups, parent)
        try:
            seal, payload = seal_group(self._ledger)
        except ProtocolError as error:
            return self._unsealed(error)
        return Publish(data=announcement(seal.data, payload if len(payload) <= INLINE_PAYLOAD_BYTES else None))

    def _is_due(self, due: Seconds | None, now: Seconds) -> bool:
        if due is not None and now < due:
            self.due_at = min(due, self.due_at or due)
        return due is not None and now >= due

    def _unsealed(self, error: ProtocolError) -> Refused:
        return Refused(reason=error.reason, peer=self._ledger.me, detail=f"the own seal: {error.detail}")


def _remember(parents: dict[Digest, None], parent: Digest) -> None:
    """Note where this process has sealed, as far back as its chain can be turned about."""
    parents[parent] = None
    if len(parents) > _MAX_REMEMBERED:
        del parents[next(iter(parents))]
