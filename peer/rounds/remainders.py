"""Error feedback: what a lossy codec leaves out of a delta goes into the next one.

A header announces everything that its base's chain lacks of a peer: new work, and what the codec left out of that
peer's last delta *on this chain*. So a remainder belongs to the header that caused it. A chain that admits the header
lacks exactly the remainder; a chain that does not admit it lacks the original work, and knows of no remainder. Hence on
any chain only one remainder counts: that of the peer's last admitted header (docs/adr/0020).
"""

from dataclasses import dataclass, replace

import numpy as np

from peer.rounds.own_deltas import Piece
from peer.types import Params


@dataclass(frozen=True, slots=True, eq=False)
class _Remainder:
    round: int
    params: Params


class Remainders:
    """Remainders of own headers, by the sequence of the header. None is kept where a codec lost nothing."""

    def __init__(self) -> None:
        self._by_sequence: dict[int, _Remainder] = {}

    def keep(self, sequence: int, round_number: int, *, announced: Params, decoded: Params) -> None:
        """Note what the header for `round_number` announced, and what everybody decodes instead."""
        left = np.subtract(announced, decoded, dtype=np.float32)
        if left.any():
            self._by_sequence[sequence] = _Remainder(round_number, left)

    def after(self, sequence: int) -> Params | None:
        """Return what a chain lacks whose last own header has this sequence (0: it holds none)."""
        remainder = self._by_sequence.get(sequence)
        return remainder.params if remainder else None

    def forget(self, *, root_round: int, last_at_root: int) -> None:
        """Drop what no chain can need that builds on the oldest entry kept, of `root_round`.

        last_at_root: sequence of the last own header that the chain to this entry holds.
        """
        self._by_sequence = {
            sequence: remainder
            for sequence, remainder in self._by_sequence.items()
            if sequence == last_at_root or remainder.round > root_round
        }

    def __len__(self) -> int:
        return len(self._by_sequence)


def with_remainder(piece: Piece, remainder: Params | None) -> Piece:
    """Return the piece with a remainder added to its parameters: no env steps, no statistics, they are never lossy."""
    if remainder is None:
        return piece
    return replace(piece, delta=replace(piece.delta, params=piece.delta.params + remainder))
