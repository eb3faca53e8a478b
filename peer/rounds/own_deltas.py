"""What this peer itself has learned, so that on any chain it counts exactly once and nothing is lost.

Training yields *pieces*, numbered by the sequence of the header that first announces them. A header announces all
pieces that its base does not hold, so what a chain holds of a peer is always a prefix: one number a peer says how much,
and every manifest carries it (docs/adr/0025). A peer that changes to another chain, known or unknown, reads off that
number what it has to bring along.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from peer.moments import merge_all
from peer.types import ModelDelta, Moments, Params

_MAX_KEPT = 64
_MAX_BYTES = 64 << 20
_FEWEST = 32
"""Pieces and sums kept apart at most: 64, or as many as have room in 64 MiB, but 32 however large the model is."""
_AHEAD = 3
"""Pieces still to come that a break keeps apart too: it is noticed at once here, and a little later elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The result of one stretch of local training. round: the round it was made for. env_steps: at least 1."""

    round: int
    env_steps: int
    delta: ModelDelta


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The sum of the pieces `first` to `last`, both included. made_for: the round of the oldest, on its own chain.

    ends: another chain may end with piece `last`, so that no later one may be added. reported: as given up.
    """

    first: int
    last: int
    made_for: int
    piece: Piece
    ends: bool
    reported: bool = False


class OwnDeltas:
    """Pieces of this life, oldest first. Those that no chain can need apart any more are kept as one sum."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._ahead = 0

    def add(self, number: int, piece: Piece) -> None:
        """Keep a new piece. number: higher than any before."""
        self._kept.append(_Kept(number, number, piece.round, piece, ends=self._ahead > 0))
        self._ahead = max(0, self._ahead - 1)

    def unadmitted(self, held: int) -> list[Piece]:
        """Return the pieces that a chain lacks which holds those up to number `held`."""
        return [kept.piece for kept in self._kept if kept.first > held]

    def give_up(self, held: int) -> None:
        """Forget the pieces that a chain lacks which holds those up to number `held`."""
        self._kept = [kept for kept in self._kept if kept.first <= held]

    def keep_apart(self, held: int) -> None:
        """Sum up neither the pieces from number `held` on, nor the next few: somebody may go on without us from here.

        held: what every chain holds that may have parted from ours by now.
        """
        self._kept = [replace(kept, ends=True) if kept.last >= held and not kept.ends else kept for kept in self._kept]
        self._ahead = _AHEAD

    def last_made_for(self, round_number: int) -> int:
        """Return the number of the last piece made for a round up to this one; 0 when there is none."""
        return max((kept.last for kept in self._kept if kept.made_for <= round_number), default=0)

    def change_chain(self, held: int, *, from_round: int, to_round: int, forgotten: int = 0) -> list[Piece]:
        """Make the pieces ready for a chain of unknown past that ends at `to_round`; return those given up.

        forgotten: that chain may hold pieces up to this number and does not tell; at most `held`.
        Work of `from_round - k` on the branch that is left counts as k rounds old at least: both chains have moved on
        since the fork. Given up is what cannot be told apart from work that the chain holds: a sum that it holds a part
        of, and what it has forgotten. All of that is still here, should a chain follow that holds less of it.
        """
        coming = [kept.piece.round for kept in self._kept if kept.first > held]
        span = max(0, from_round - min(coming, default=from_round + 1) + 1)
        lost: list[Piece] = []
        for at, kept in enumerate(self._kept):
            if kept.first > held:
                round_number = max(0, min(kept.piece.round, to_round - span))
                self._kept[at] = replace(kept, piece=replace(kept.piece, round=round_number))
            elif not kept.reported and (kept.last > held or kept.last <= forgotten):
                lost.append(kept.piece)
                self._kept[at] = replace(kept, reported=True)
        return lost

    def compact(self, held: Collection[int], *, root_round: int) -> None:
        """Sum up what is older than the window, and what there is no room for.

        held: of each entry of the window, the number up to which it holds pieces.
        Every chain that builds on the oldest entry holds all of the older pieces up to its number, and the others only
        together: headers that announced some of them apart were for rounds that are over.
        """
        summed: list[_Kept] = []
        for kept in self._kept:
            is_old = kept.piece.round <= root_round
            if summed and is_old and summed[-1].piece.round <= root_round and _may_join(summed[-1], kept, held):
                summed[-1] = _joined(summed[-1], kept)
            else:
                summed.append(kept)
        room = self._room()
        while len(summed) > room and (at := _least(summed[: len(summed) - room // 2], held)) is not None:
            summed[at : at + 2] = [_joined(summed[at], summed[at + 1])]
        self._kept = summed

    def __len__(self) -> int:
        return len(self._kept)

    def _room(self) -> int:
        piece_bytes = self._kept[0].piece.delta.params.nbytes if self._kept else 0
        return max(_FEWEST, min(_MAX_KEPT, _MAX_BYTES // max(1, piece_bytes)))


def sum_pieces(pieces: Sequence[Piece], shares: Sequence[float] | None = None) -> Piece:
    """Return one piece that stands for all: parameters added, statistics merged, of the latest round.

    shares: factors for the parameters; all 1 when left out. Raises: ValueError when there are no pieces.
    """
    if not pieces:
        raise ValueError("there is nothing to sum")
    total = np.zeros(pieces[0].delta.params.shape, np.float64)
    for piece, share in zip(pieces, shares or [1.0] * len(pieces), strict=True):
        params = piece.delta.params
        total += params if share == 1.0 else share * params.astype(np.float64)  # the same, without two copies
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


def _may_join(older: _Kept, newer: _Kept, held: Collection[int]) -> bool:
    return not older.ends and not _parts(older, newer, held)


def _parts(older: _Kept, newer: _Kept, held: Collection[int]) -> bool:
    """Return whether some chain needs a part of the two only: `newer`, or the end of `older` with it.

    held: of each chain, the number up to which it holds pieces.
    """
    return any(older.first <= number < newer.first for number in held)


def _least(kept: Sequence[_Kept], held: Collection[int]) -> int | None:
    """Return where the neighbours begin that make the smallest sum, the oldest of those."""
    pairs = [at for at in range(len(kept) - 1) if not _parts(kept[at], kept[at + 1], held)]
    return min(pairs, key=lambda at: kept[at + 1].last - kept[at].first, default=None)


def _joined(older: _Kept, newer: _Kept) -> _Kept:
    """Sum two neighbours; the round is the mean over their env steps, as it says how stale they are."""
    total = sum_pieces([older.piece, newer.piece])
    steps = (older.piece.env_steps * older.piece.round, newer.piece.env_steps * newer.piece.round)
    made_for = min(older.made_for, newer.made_for)
    mean_round = sum(steps) // total.env_steps
    return _Kept(
        older.first, newer.last, made_for, replace(total, round=mean_round), ends=newer.ends,
        reported=older.reported and newer.reported,
    )  # fmt: skip
