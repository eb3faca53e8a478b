"""The tree of known manifests around the tip."""

import itertools
from collections.abc import Iterator, Sequence, Set

from peer.rounds.entry import Entry
from peer.rounds.memo import Memo
from peer.types import Digest

_MAX_PASSED = 32
"""Older entries that are recognised when a peer that is behind says where it is."""
_MAX_FORSAKEN = 128
"""Entries of branches that left the window, which are recognised when a peer says that it is on one."""


class Chain:
    """Entries by digest; every entry's parent is present except the root's, the oldest that is kept."""

    def __init__(self, root: Entry) -> None:
        self.root = root
        self.tip = root
        self.version = 0  # grows with every change of the tree
        self._entries: dict[bytes, Entry] = {root.digest: root}
        self._line_memo = Memo[list[Entry]]()
        self._passed: dict[bytes, None] = {}
        self._forsaken: dict[bytes, int] = {}  # and the round of the tip when they left the window
        self._beside_memo = Memo[list[Entry]]()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def has_passed(self, digest: Digest) -> bool:
        """Return whether an entry was on the line to the tip not long ago and is older than the root now."""
        return digest in self._passed

    @property
    def forsaken(self) -> Set[bytes]:
        """Digests of entries that were on a branch beside the line when it left the window, a window ago at most."""
        return self._forsaken.keys()

    def get(self, digest: bytes) -> Entry | None:
        return self._entries.get(digest)

    def add(self, entry: Entry) -> None:
        """Raises: KeyError unless the parent is present."""
        self._entries[entry.parent]
        self._entries[entry.digest] = entry
        self.version += 1

    def remove_branch(self, entry: Entry) -> None:
        """Remove `entry` and all that build on it; never the tip's own line."""
        doomed = {entry.digest}
        for other in sorted(self._entries.values(), key=lambda candidate: candidate.round):
            if other.parent in doomed:
                doomed.add(other.digest)
        for digest in doomed:
            del self._entries[digest]
        self.version += 1

    def line_to(self, entry: Entry) -> list[Entry]:
        """Return the entries from the root to `entry`, both included."""
        if entry is not self.tip:
            return self._line_to(entry)
        return self._line_memo.get((self.version, entry.digest), lambda: self._line_to(entry))

    def _line_to(self, entry: Entry) -> list[Entry]:
        line = [entry]
        while line[-1].digest != self.root.digest:
            line.append(self._entries[line[-1].parent])
        return line[::-1]

    def fork(self, a: Entry, b: Entry) -> tuple[Entry, list[Entry], list[Entry]]:
        """Return the common ancestor of two entries, and the lines from it (excluded) to each."""
        line_a: list[Entry] = []
        line_b: list[Entry] = []
        while a is not b:
            if a.round >= b.round:
                line_a.append(a)
                a = self._entries[a.parent]
            else:
                line_b.append(b)
                b = self._entries[b.parent]
        return a, line_a[::-1], line_b[::-1]

    def descends(self, entry: Entry, ancestor: Entry) -> bool:
        """Return whether `entry` is `ancestor` or builds on it."""
        while entry.round > ancestor.round and entry is not self.root:
            entry = self._entries[entry.parent]
        return entry is ancestor

    def join_round(self, line: Sequence[Entry], entry: Entry) -> int:
        """Return the round of the newest entry of `line` (which starts at the root) that `entry` is or builds on."""
        base = line[0].round
        while entry.round - base >= len(line) or line[entry.round - base] is not entry:
            entry = self._entries[entry.parent]
        return entry.round

    def rivals(self) -> bool:
        """Return whether anything is known beside the line to the tip."""
        return len(self._entries) > self.tip.round - self.root.round + 1

    def beside_tip(self) -> list[Entry]:
        """Return the entries beside the line to the tip, oldest known first. Cost: O(1) until tree or tip change."""
        return self._beside_memo.get((self.version, self.tip.digest), self._look_beside_tip)

    def _look_beside_tip(self) -> list[Entry]:
        line = {entry.digest for entry in self.line_to(self.tip)} if self.rivals() else self._entries.keys()
        return [entry for entry in self._entries.values() if entry.digest not in line]

    def children(self, digest: Digest) -> list[Entry]:
        return [entry for entry in self._entries.values() if entry.parent == digest]

    def prune(self, *, history: int) -> None:
        """Move the root up the tip's line to `history` rounds below the tip; drop what does not build on it."""
        line = self.line_to(self.tip)
        root = next(entry for entry in line if entry.round >= self.tip.round - history or entry is self.tip)
        self._passed.update((entry.digest, None) for entry in line if entry.round < root.round)
        while len(self._passed) > _MAX_PASSED:
            del self._passed[next(iter(self._passed))]
        keep = {root.digest}
        for entry in sorted(self._entries.values(), key=lambda candidate: candidate.round):
            if entry.parent in keep:
                keep.add(entry.digest)
        self._forsaken = {digest: at for digest, at in self._forsaken.items() if at + history > self.tip.round}
        gone = (digest for digest in self._entries if digest not in keep and digest not in self._passed)
        self._forsaken |= dict.fromkeys(itertools.islice(gone, _MAX_FORSAKEN - len(self._forsaken)), self.tip.round)
        self._entries = {digest: entry for digest, entry in self._entries.items() if digest in keep}
        self.root = root
        self.version += 1
