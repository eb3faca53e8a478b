"""What may come before a machine has to look again at what is possible now: most messages of a large swarm do nothing
but count towards the next point at which something is due."""

from collections.abc import Collection

UNLIMITED = 1 << 62


class Leeway:
    """How many headers of the own group, and seals of other groups, may come until then. None at first."""

    def __init__(self, *, headers: int = 0, seals: int = 0, awaited: Collection[bytes] = ()) -> None:
        """awaited: hashes of payloads that something else waits for, too."""
        self._headers = headers
        self._seals = seals
        self._awaited = awaited

    def end(self) -> None:
        """Let nothing more come."""
        self._headers = self._seals = 0

    def takes_payload(self, payload: bytes) -> None:
        """Take note of a payload that has come."""
        if payload in self._awaited:
            self.end()

    def takes_header(self) -> bool:
        """Count a header that has come; return whether nothing is due because of it."""
        self._headers -= 1
        return self._headers >= 0

    def takes_seal(self) -> bool:
        """Count a group's seal that has come; return whether nothing is due because of it."""
        self._seals -= 1
        return self._seals >= 0


def room_below(have: int, *, expected: int, is_complete: bool) -> int:
    """Return how many more may come before there is one, half of the expected, or as many as are expected.

    is_complete: all who are expected are in, so that no more make a difference.
    """
    if is_complete:
        return UNLIMITED
    half = (expected + 1) // 2
    reached = next((mark for mark in (1, half, expected) if have < mark), have + 1)
    return reached - have - 1
