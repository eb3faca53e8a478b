"""Which group seals a top manifest on the tip could admit, as far as one peer can tell: one a group."""

from typing import TYPE_CHECKING

from peer.errors import ProtocolError
from peer.rounds.effects import Refused
from peer.rounds.group_sealer import is_true
from peer.types import Digest
from peer.wire.envelope import Signed
from peer.wire.messages import GroupSeal

if TYPE_CHECKING:
    from peer.rounds.ledger import Ledger


class GroupCandidates:
    """The best sound seal of each group. Of rivals the one with more members wins, then the sealer's turn."""

    def __init__(self, ledger: "Ledger") -> None:
        self._ledger = ledger
        self._best: dict[int, Signed[GroupSeal]] = {}
        self._key: object = None
        self._tip: Digest | None = None
        self._verdicts: dict[Digest, bool] = {}
        self._false: list[Signed[GroupSeal]] = []

    def accusations(self) -> list[Refused]:
        """Return, once, what this peer has found out about false seals of its group."""
        found, self._false = self._false, []
        return [
            Refused(
                reason="false_group",
                peer=seal.peer,
                detail=f"round {seal.message.round}, group {seal.message.group}: its seal is not what the deltas give",
            )
            for seal in found
        ]

    def best(self) -> dict[int, Signed[GroupSeal]]:
        """Return the seals that are sound, whose payload is held, and that this peer has not found to be false."""
        ledger = self._ledger
        key = (ledger.tip.digest, ledger.groups.version, ledger.payloads.version, ledger.pool.version)
        if key != self._key:
            if self._tip != ledger.tip.digest:
                self._verdicts.clear()
            self._key, self._tip = key, ledger.tip.digest
            self._best = self._chosen()
        return self._best

    def own(self) -> Signed[GroupSeal] | None:
        """Return the seal of the own group, if a good one is known."""
        grouping = self._ledger.grouping
        return None if grouping is None else self.best().get(grouping.group_of(self._ledger.me))

    def _chosen(self) -> dict[int, Signed[GroupSeal]]:
        chosen: dict[int, Signed[GroupSeal]] = {}
        grouping = self._ledger.grouping
        if grouping is None:
            return chosen
        for seal in self._ledger.groups.on_base(self._ledger.tip.digest):
            known = chosen.get(seal.message.group)
            if (known is None or self._standing(seal) < self._standing(known)) and self._is_good(seal):
                chosen[seal.message.group] = seal
        return chosen

    def _standing(self, seal: Signed[GroupSeal]) -> tuple[int, int, bytes]:
        grouping = self._ledger.grouping
        assert grouping is not None, "asked with groups only"
        rank = grouping.rank_of(seal.peer)
        return -len(seal.message.members), 0 if rank is None else rank, seal.digest

    def _is_good(self, seal: Signed[GroupSeal]) -> bool:
        verdict = self._verdicts.get(seal.digest)
        if verdict is None:
            verdict = self._verdict(seal)
            if verdict is not None:
                self._verdicts[seal.digest] = verdict
        return verdict is not False and seal.message in self._ledger.payloads

    def _verdict(self, seal: Signed[GroupSeal]) -> bool | None:
        """Return whether a seal may be admitted; None: not known yet."""
        ledger, parts = self._ledger, self._ledger.parts
        try:
            parts.pure.check_group_seal(ledger.tip, seal, parts.rules)
        except ProtocolError:
            return False
        if ledger.is_of_own_group(seal.peer):
            verdict = True if seal.peer == ledger.me else is_true(ledger, seal)
            if verdict is False:
                self._false.append(seal)
            if verdict is not None:
                return verdict
        if seal.message not in ledger.payloads:
            return None
        return None if ledger.is_of_own_group(seal.peer) else ledger.payloads.has_declared_norm(seal.message)
