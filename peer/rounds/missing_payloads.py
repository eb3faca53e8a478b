"""Which admitted deltas lack their payload, and so which manifests of the tree can be applied."""

from collections.abc import Iterable

from peer.rounds.chain import Chain
from peer.rounds.entry import Entry
from peer.rounds.manifest import STOP_RETURN
from peer.rounds.payloads import PayloadStore
from peer.types import Digest
from peer.wire.envelope import SignedDelta


class MissingPayloads:
    """What a tree of manifests still needs. Payloads in use stay, so an unchanged tree lacks only ever fewer."""

    def __init__(self, chain: Chain, payloads: PayloadStore) -> None:
        self._chain = chain
        self._payloads = payloads
        self._lacking: dict[Digest, tuple[SignedDelta, ...]] = {}  # of each entry, when it was last looked at
        self._not_applicable: dict[Digest, Entry] = {}
        self._tree_seen: object = None
        self._payloads_seen = -1

    def can_apply(self, entry: Entry) -> bool:
        """Return whether no payload is lacking from the nearest applied ancestor on. Cost: as that of all entries."""
        self._look()
        return entry.digest not in self._not_applicable

    def num_applicable_beside_tip(self) -> int:
        """Return how many of the entries beside the line to the tip can be applied."""
        self._look()
        return len(self._chain.beside_tip()) - len(self._not_applicable)

    def before(self, entries: Iterable[Entry]) -> list[tuple[Entry, SignedDelta]]:
        """Return the deltas without payload, with who admits each, from the nearest applied ancestors to `entries`."""
        missing: list[tuple[Entry, SignedDelta]] = []
        seen: set[Digest] = set()
        for entry in entries:
            current: Entry | None = entry
            while current is not None and current.state is None and current.digest not in seen:
                seen.add(current.digest)
                if current.stop != STOP_RETURN:
                    missing += [(current, delta) for delta in self.of(current)]
                current = self._chain.get(current.parent)
        return missing

    def of(self, entry: Entry) -> tuple[SignedDelta, ...]:
        """Return the deltas without payload that `entry` itself admits."""
        last_time = self._lacking.get(entry.digest, entry.deltas)
        lacking = tuple(delta for delta in last_time if delta.message not in self._payloads)
        self._lacking[entry.digest] = lacking
        return lacking

    def forget(self) -> None:
        """Drop what is known of entries that have left the tree."""
        self._lacking = {digest: left for digest, left in self._lacking.items() if digest in self._chain}

    def _look(self) -> None:
        """Find the entries that cannot be applied. Cost: O(1) until tree, tip or payloads change."""
        chain = self._chain
        tree = (chain.version, chain.tip.digest)
        if tree != self._tree_seen:
            self._tree_seen, self._payloads_seen = tree, -1
            self._not_applicable = {entry.digest: entry for entry in chain.beside_tip()}
            if len(self._lacking) > len(chain):
                self.forget()
        if not self._not_applicable or self._payloads.version == self._payloads_seen:
            return
        self._payloads_seen = self._payloads.version
        before, self._not_applicable = self._not_applicable, {}
        for digest, entry in before.items():  # parents come before their children
            lacks = entry.state is None and entry.stop != STOP_RETURN and self.of(entry)
            if lacks or entry.parent in self._not_applicable:
                self._not_applicable[digest] = entry
