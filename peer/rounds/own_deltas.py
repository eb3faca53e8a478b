"""What this peer itself has learned, so that on any chain it counts exactly once and nothing is lost.

Training yields *pieces*, numbered by the sequence of the header that first announces them. A header announces all
pieces that its base does not hold, so what a chain holds of a peer is always a prefix: one number a peer says how much,
and every manifest carries it (docs/adr/0025). A peer that changes to another chain, known or unknown, reads off that
number what it has to bring along.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from peer.moments import merge_all
from peer.types import ModelDelta, Moments, Params

_MAX_PINS = 4
_MAX_KEPT = 64
"""Pieces and sums kept apart at most; the two oldest become one beyond it. Each is as large as the model."""
_PIN_AHEAD = 3
"""Pieces still to come that a pin keeps apart too: a break is noticed at once here, and a little later elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The result of one stretch of local training. round: the round it was made for. env_steps: at least 1."""

    round: int
    env_steps: int
    delta: ModelDelta


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The sum of the pieces `first` to `last`, both included. made_for: the round of the oldest, on its own chain."""

    first: int
    last: int
    made_for: int
    piece: Piece


class OwnDeltas:
    """Pieces of this life, oldest first. Those that no known chain can need apart any more are kept as one sum.

    A *pin* keeps the pieces around a break of the swarm apart: another chain may hold any number of them.
    """

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._pins: list[range] = []

    def add(self, number: int, piece: Piece) -> None:
        """Keep a new piece. number: higher than any before."""
        self._kept.append(_Kept(number, number, piece.round, piece))

    def unadmitted(self, held: int) -> list[Piece]:
        """Return the pieces that a chain lacks which holds those up to number `held`."""
        return [kept.piece for kept in self._kept if kept.first > held]

    def give_up(self, held: int) -> None:
        """Forget the pieces that a chain lacks which holds those up to number `held`."""
        self._kept = [kept for kept in self._kept if kept.first <= held]

    def pin(self, held: int) -> None:
        """Keep apart the pieces after number `held`, and those about to come.

        held: what every chain holds that may have parted from ours by now.
        """
        if self._kept:
            self._pins.append(range(held, self._kept[-1].last + _PIN_AHEAD + 1))
            del self._pins[:-_MAX_PINS]

    def change_chain(self, held: int, *, from_round: int, to_round: int, horizon: int) -> list[Piece]:
        """Make the pieces ready for a chain of unknown past that ends at `to_round`; return those given up.

        horizon: that chain may hold pieces made up to this round that it does not tell of; 0: it tells of all.
        Work of `from_round - k` on the branch that is left counts as k rounds old at least: both chains have moved on
        since the fork. Given up is what cannot be told apart from work that the chain holds.
        """
        lost = [kept for kept in self._kept if kept.first <= held < kept.last]
        lost += [kept for kept in self._kept if kept.first > held and kept.made_for <= horizon]
        self._kept = [kept for kept in self._kept if kept not in lost]
        coming = [kept.piece.round for kept in self._kept if kept.first > held]
        span = max(0, from_round - min(coming, default=from_round + 1) + 1)
        self._kept = [
            kept
            if kept.first <= held
            else replace(kept, piece=replace(kept.piece, round=max(0, min(kept.piece.round, to_round - span))))
            for kept in self._kept
        ]
        return [kept.piece for kept in lost]

    def compact(self, held: int, *, root_round: int) -> None:
        """Sum up what is older than the window. held: what the oldest entry of the window holds.

        Every chain that builds on that entry holds all of the older pieces up to `held`, and the others only together:
        headers that announced some of them apart were for rounds that are over.
        """
        summed: list[_Kept] = []
        for kept in self._kept:
            if summed and kept.piece.round <= root_round and self._may_grow(summed[-1], held, root_round):
                summed[-1] = _joined(summed[-1], kept)
            else:
                summed.append(kept)
        while len(summed) > _MAX_KEPT:
            summed[:2] = [_joined(summed[0], summed[1])]
        self._kept = summed

    def __len__(self) -> int:
        return len(self._kept)

    def _may_grow(self, kept: _Kept, held: int, root_round: int) -> bool:
        pinned = any(kept.last in pin for pin in self._pins)
        return kept.piece.round <= root_round and kept.last != held and not pinned


def sum_pieces(pieces: Sequence[Piece], shares: Sequence[float] | None = None) -> Piece:
    """Return one piece that stands for all: parameters added, statistics merged, of the latest round.

    shares: factors for the parameters; all 1 when left out. Raises: ValueError when there are no pieces.
    """
    if not pieces:
        raise ValueError("there is nothing to sum")
    total = np.zeros(pieces[0].delta.params.shape, np.float64)
    for piece, share in zip(pieces, shares or [1.0] * len(pieces), strict=True):
        total += share * piece.delta.params.astype(np.float64)
    empty = Moments.empty(pieces[0].delta.moments.size)
    return Piece(
        round=max(piece.round for piece in pieces),
        env_steps=sum(piece.env_steps for piece in pieces),
        delta=ModelDelta(
            params=np.asarray(total, np.float32), moments=merge_all(empty, (piece.delta.moments for piece in pieces))
        ),
    )


def l2_norm(params: Params) -> float:
    """Return the Euclidean norm, summed in float64."""
    return float(np.sqrt(np.sum(np.square(params, dtype=np.float64))))


def _joined(older: _Kept, newer: _Kept) -> _Kept:
    """Sum two neighbours; the round is the mean over their env steps, as it says how stale they are."""
    total = sum_pieces([older.piece, newer.piece])
    steps = (older.piece.env_steps * older.piece.round, newer.piece.env_steps * newer.piece.round)
    made_for = min(older.made_for, newer.made_for)
    return _Kept(older.first, newer.last, made_for, replace(total, round=sum(steps) // total.env_steps))
