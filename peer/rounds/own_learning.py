"""What this peer has learned, against what the chain to the tip holds of it: what is to be announced, kept, or lost."""

from collections.abc import Collection

from peer.rounds.chain import Chain
from peer.rounds.effects import PieceDropped
from peer.rounds.entry import Entry
from peer.rounds.own_deltas import OwnDeltas, Piece
from peer.rounds.remainders import Remainders
from peer.types import Params, PeerId


class OwnLearning:
    """Own pieces, and what codecs left out of them. One number a chain says how much of them it holds."""

    def __init__(self, me: PeerId, chain: Chain) -> None:
        self.deltas = OwnDeltas()
        self.remainders = Remainders()
        self._me = me
        self._chain = chain
        self._held_before = 0  # what the chain held in the rounds that have left the window
        self._departed: set[tuple[str, int]] = set()

    def unadmitted(self) -> list[Piece]:
        """Return the pieces that the chain to the tip does not hold, oldest first."""
        return self.deltas.unadmitted(self._held_at(self._chain.tip))

    def give_up(self) -> None:
        """Forget the pieces that the chain to the tip does not hold."""
        self.deltas.give_up(self._held_at(self._chain.tip))

    def is_recent(self, piece: Piece) -> bool:
        """Return whether local training goes on from `piece`; older work is announced, but not trained upon."""
        return piece.round > self._chain.root.round

    def remainder(self) -> Params | None:
        """Return what the codec left out of the last delta that the chain to the tip holds."""
        return self.remainders.after(self._held_at(self._chain.tip))

    def keep_apart(self) -> None:
        """Sum up no work of the window or the next rounds: a chain may part from ours in any of them."""
        self.deltas.keep_apart(self._held_at(self._chain.root))

    def note_departures(self) -> None:
        """Keep work apart when members were lost: they may be going on without us."""
        departed = {(entry.peer, entry.round) for entry in self._chain.tip.departed}
        if departed - self._departed:
            self.keep_apart()
        self._departed = departed

    def forget(self, passed: Collection[Entry]) -> None:
        """Keep older pieces as their sum only. passed: the entries of the chain up to the one that is now its root."""
        root = self._chain.root
        self._held_before = max(self._held_before, *(entry.held_of(self._me) for entry in passed))
        held = {self._held_at(entry) for entry in self._chain.line_to(self._chain.tip)}
        self.deltas.compact(held, root_round=root.round)
        self.remainders.forget(root_round=root.round, last_at_root=self._held_at(root))

    def change_chain(self, chain: Chain) -> list[PieceDropped]:
        """Go on with a chain of one entry, whose past is unknown here; return what is given up for it."""
        self.keep_apart()  # the chain that is left may be come back to
        left, entry = self._chain.tip, chain.tip
        held = entry.held_of(self._me)
        forgotten = 0 if held else self.deltas.last_made_for(entry.horizon)
        lost = self.deltas.change_chain(
            max(held, forgotten), from_round=left.round, to_round=entry.round, forgotten=forgotten
        )
        self._chain, self._held_before = chain, forgotten
        if not lost:
            return []
        return [PieceDropped(pieces=len(lost), env_steps=sum(piece.env_steps for piece in lost))]

    def _held_at(self, entry: Entry) -> int:
        """Return the sequence up to which the chain to `entry` holds own work.

        Known even when the chain no longer tells, because so many have left the roster since.
        """
        held = entry.held_of(self._me)
        if held or not entry.horizon:
            return held
        return max([self._held_before, *(earlier.held_of(self._me) for earlier in self._chain.line_to(entry))])
