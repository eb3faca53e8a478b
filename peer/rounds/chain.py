"""The tree of known manifests around the tip."""

from collections.abc import Iterator

from peer.rounds.entry import Entry
from peer.types import Digest


class Chain:
    """Entries by digest; every entry's parent is present except the root's, the oldest that is kept."""

    def __init__(self, root: Entry) -> None:
        self.root = root
        self.tip = root
        self._entries: dict[Digest, Entry] = {root.digest: root}

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, digest: bytes) -> Entry | None:
        return self._entries.get(Digest(digest))

    def add(self, entry: Entry) -> None:
        """Raises: KeyError unless the parent is present."""
        self._entries[entry.parent]
        self._entries[entry.digest] = entry

    def remove_branch(self, entry: Entry) -> None:
        """Remove `entry` and all that build on it; never the tip's own line."""
        doomed = {entry.digest}
        for other in sorted(self._entries.values(), key=lambda candidate: candidate.round):
            if other.parent in doomed:
                doomed.add(other.digest)
        for digest in doomed:
            del self._entries[digest]

    def line_to(self, entry: Entry) -> list[Entry]:
        """Return the entries from the root to `entry`, both included."""
        line = [entry]
        while line[-1].digest != self.root.digest:
            line.append(self._entries[line[-1].parent])
        return line[::-1]

    def fork(self, a: Entry, b: Entry) -> tuple[Entry, list[Entry], list[Entry]]:
        """Return the common ancestor of two entries, and the lines from it (excluded) to each."""
        line_a, line_b = self.line_to(a), self.line_to(b)
        common = 0
        for left, right in zip(line_a, line_b, strict=False):
            if left.digest != right.digest:
                break
            common += 1
        return line_a[common - 1], line_a[common:], line_b[common:]

    def prune(self, *, history: int) -> None:
        """Move the root up the tip's line to `history` rounds below the tip; drop what does not build on it."""
        line = self.line_to(self.tip)
        root = next(entry for entry in line if entry.round >= self.tip.round - history or entry is self.tip)
        keep = {root.digest}
        for entry in sorted(self._entries.values(), key=lambda candidate: candidate.round):
            if entry.parent in keep:
                keep.add(entry.digest)
        self._entries = {digest: entry for digest, entry in self._entries.items() if digest in keep}
        self.root = root
