"""What this peer itself has learned and announced, so that nothing counts twice and nothing is lost.

Training yields *pieces*. A header announces the sum of all pieces that the chain it builds on does not hold. On any
chain a piece is therefore admitted at most once; after a switch to another branch the unadmitted ones are announced
again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from peer.moments import merge_all
from peer.types import Digest, ModelDelta, Moments, Params


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The result of one stretch of local training. round: the round it was made for. env_steps: at least 1."""

    round: int
    env_steps: int
    delta: ModelDelta


class OwnDeltas:
    """Pieces by number, and which header announced which."""

    def __init__(self) -> None:
        self._pieces: dict[int, Piece] = {}
        self._announced: dict[Digest, frozenset[int]] = {}
        self._next = 0

    def add(self, piece: Piece) -> int:
        self._next += 1
        self._pieces[self._next] = piece
        return self._next

    def settle(self, admitted_headers: Collection[Digest]) -> None:
        """Forget the pieces of headers whose admission leaves the window: it will never be undone, nor seen again."""
        for header in admitted_headers:
            for number in self._announced.pop(header, ()):
                self._pieces.pop(number, None)

    def announce(self, header: Digest, pieces: Collection[int]) -> None:
        self._announced[header] = frozenset(pieces)

    def unadmitted(self, admitted_headers: Collection[Digest]) -> dict[int, Piece]:
        """Return the pieces that none of `admitted_headers`, those of one chain, stands for."""
        admitted: set[int] = set()
        for header, pieces in self._announced.items():
            if header in admitted_headers:
                admitted |= pieces
        return {number: piece for number, piece in self._pieces.items() if number not in admitted}

    def forget(self, *, before_round: int, admitted_headers: Collection[Digest]) -> None:
        """Drop pieces made for rounds before `before_round`, and headers that announced only such.

        Those that `admitted_headers` stand for are kept: a switch may undo their admission, and then they are wanted.
        """
        safe = {number for header in admitted_headers for number in self._announced.get(header, ())}
        self._pieces = {
            number: piece for number, piece in self._pieces.items() if piece.round >= before_round or number in safe
        }
        self._announced = {header: pieces for header, pieces in self._announced.items() if pieces & self._pieces.keys()}

    def clear(self) -> None:
        self._pieces.clear()
        self._announced.clear()


def sum_pieces(pieces: Sequence[Piece]) -> Piece:
    """Return one piece that stands for all: parameters added, statistics merged, of the latest round.

    Raises: ValueError when there are none.
    """
    if not pieces:
        raise ValueError("there is nothing to sum")
    stacked = np.stack([piece.delta.params for piece in pieces])
    params: Params = np.asarray(stacked.sum(axis=0, dtype=np.float64), np.float32)
    empty = Moments.empty(pieces[0].delta.moments.size)
    return Piece(
        round=max(piece.round for piece in pieces),
        env_steps=sum(piece.env_steps for piece in pieces),
        delta=ModelDelta(params=params, moments=merge_all(empty, (piece.delta.moments for piece in pieces))),
    )


def l2_norm(params: Params) -> float:
    """Return the Euclidean norm, summed in float64."""
    return float(np.sqrt(np.sum(np.square(params, dtype=np.float64))))
