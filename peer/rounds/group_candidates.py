"""Which group seals a top manifest on the tip could admit, as far as one peer can tell: one a group."""

from collections.abc import Collection
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
    """The best sound seal of each group: one by a member, then the one with most members, then by the sealer's turn.

    Asked for after every message, so nothing here looks through all seals unless the tip has moved.
    """

    def __init__(self, ledger: "Ledger") -> None:
        self._ledger = ledger
        self._best: dict[int, Signed[GroupSeal]] = {}
        self._version = 0
        self._key: object = None
        self._looked_at: object = None
        self._tip: Digest | None = None
        self._seen = 0
        self._members_seen: object = None
        self._undecided: dict[Digest, Signed[GroupSeal]] = {}
        self._without_payload: dict[Digest, Signed[GroupSeal]] = {}
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
        self._update()
        return self._best

    @property
    def version(self) -> int:
        """A number that grows whenever `best` changes."""
        self._update()
        return self._version

    def of_members(self) -> dict[int, Signed[GroupSeal]]:
        """Return those of `best` that a member of the group sealed, not somebody who is not on the roster."""
        return {group: seal for group, seal in self.best().items() if self._is_by_member(seal)}

    def own(self) -> Signed[GroupSeal] | None:
        """Return the seal of the own group, if a good one is known; to a member, only one by a member is."""
        ledger = self._ledger
        known = self.best().get(ledger.own_group)
        if known is None or self._is_by_member(known) or ledger.me not in ledger.tip.members:
            return known
        return None

    def _is_by_member(self, seal: Signed[GroupSeal]) -> bool:
        grouping = self._ledger.grouping
        return grouping is not None and seal.peer in grouping.contributors

    def without_payload(self) -> Collection[Signed[GroupSeal]]:
        """Return the seals on the tip whose payload is not held."""
        self._update()
        return self._without_payload.values()

    def _update(self) -> None:
        ledger = self._ledger
        seen = ledger.work_version
        if seen == self._looked_at:
            return
        self._looked_at, tip = seen, ledger.chain.tip
        if tip.grouping is None:
            if self._tip is not None:
                self._start_again(None)
            return
        members = ledger.candidates_version
        key = (ledger.groups.version, ledger.payloads.version, members)
        if key == self._key:
            return
        news = ledger.groups.added_since(self._seen) if tip.digest == self._tip else None
        if news is None:
            self._start_again(tip.digest)
            news = ledger.groups.on_base(tip.digest)
        self._without_payload |= {seal.digest: seal for seal in news if seal.message.base == tip.digest}
        arrived = [seal for seal in self._without_payload.values() if seal.message in ledger.payloads]
        for seal in arrived:
            del self._without_payload[seal.digest]
        own = self._undecided.values() if members != self._members_seen else ()
        self._key, self._seen, self._members_seen = key, ledger.groups.version, members
        for group in {seal.message.group for seal in (*own, *news, *arrived) if seal.message.base == tip.digest}:
            self._choose(tip.digest, group)

    def _start_again(self, tip: Digest | None) -> None:
        if tip != self._tip:
            self._verdicts.clear()
        self._tip, self._key = tip, None
        self._best, self._undecided, self._without_payload = {}, {}, {}
        self._version += 1

    def _choose(self, base: Digest, group: int) -> None:
        known = self._best.pop(group, None)
        best: Signed[GroupSeal] | None = None
        for seal in self._ledger.groups.of_group(base, group):
            if (best is None or self._standing(seal) < self._standing(best)) and self._is_good(seal):
                best = seal
        if best is not None:
            self._best[group] = best
        self._version += best is not known

    def _standing(self, seal: Signed[GroupSeal]) -> tuple[bool, int, int, bytes]:
        grouping = self._ledger.grouping
        assert grouping is not None, "asked with groups only"
        is_stranger, rank = seal.peer not in grouping.contributors, grouping.rank_of(seal.peer) or 0
        return is_stranger, -len(seal.message.members), rank, seal.digest

    def _is_good(self, seal: Signed[GroupSeal]) -> bool:
        verdict = self._verdicts.get(seal.digest)
        if verdict is None:
            verdict = self._verdict(seal)
            if verdict is not None:
                self._verdicts[seal.digest] = verdict
                self._undecided.pop(seal.digest, None)
            elif self._ledger.is_of_own_group(seal.peer):
                self._undecided[seal.digest] = seal
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
