"""What the round machine asks its surroundings to do, and the facts it reports."""

from dataclasses import dataclass

from peer.rounds.entry import Entry
from peer.rounds.equivocation import Proof
from peer.rounds.own_deltas import Piece
from peer.types import Digest, ModelState, Params, PeerId, Seconds
from peer.wire.sync import SnapshotOffer


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Gossip these bytes (an encoded `Announcement`).

    to: hand them to these peers directly, and to nobody else; None: to everybody.
    """

    data: bytes
    to: tuple[PeerId, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPayload:
    """Pull a payload, asking `holders` first; answer with `receive_payload` or `payload_failed`."""

    payload: Digest
    payload_bytes: int
    holders: tuple[PeerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchSnapshot:
    """Pull the state at a tip that cannot be reached by replay; answer with `receive_snapshot` or `payload_failed`."""

    offer: SnapshotOffer
    holder: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncWith:
    """Do anti-entropy with this peer at once: it has just become reachable, and its chain may be ahead of ours."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRound:
    """Train for `round` from `base` plus `pieces`: own recent work that the chain does not hold yet.

    Whatever was being trained and is not announced goes on, moved over to the new base. remainder: what the codec left
    out of the last own delta that the chain holds; training starts from it too, but it is no work that waits.
    older_env_steps: of own work that the chain does not hold either and that is too old to train upon; the next header
    announces it too. late_s: so long ago this peer first heard that the round before is sealed; its training for this
    one ends as much earlier (docs/adr/0057).
    """

    round: int
    base: Entry
    state: ModelState
    pieces: tuple[Piece, ...]
    remainder: Params | None = None
    older_env_steps: int = 0
    late_s: Seconds = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The tip moved one manifest forward, `sealing_s` after the round's training time was over here."""

    entry: Entry
    parent: Entry
    sealing_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalised:
    """More than half of the roster acked this manifest or one that builds on it."""

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityWithdrawn:
    """Rounds after `final_round` (None: all rounds) are final no more, as `peer` may know others to be final.

    It is on another chain, and what the two agree on will be final again; None: they may have no past in common.
    is_back: it is not known to be, but was left out of deciding while it could not be reached, and decides again.
    """

    final_round: int | None
    peer: PeerId
    is_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityWithout:
    """Finality waits for `peer` no longer, which has been on another chain for longer than two need to become one."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """The tip left its branch: `undone` rounds of it were replaced."""

    undone: tuple[Entry, ...]
    ancestor_round: int
    to: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotApplied:
    """The state was taken over whole from another peer instead of by replay.

    abandoned: the tip before. Own work that its chain counted and the new one lacks is announced again.
    """

    entry: Entry
    abandoned: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Somebody's message was dropped. `peer` is who wrote it where that is known, else who handed it over."""

    reason: str
    peer: PeerId
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivocated:
    """A peer signed two statements of which an honest one signs one."""

    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceDropped:
    """Own work was given up, because it cannot be told apart from work that the new chain holds.

    It is the most that can be lost: that chain may hold a part of it.
    """

    pieces: int
    env_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingPaused:
    """Too few of the roster can be reached to go on sealing (mode `strict`)."""

    round: int
    reachable: int
    roster: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingResumed:
    """Enough of the roster can be reached again."""

    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDiffers:
    """Applying `entry` here gave `computed`, another model than its manifest says.

    parts: in which parts of the model it differs, by name, as far as the manifest tells; the sealer's word.
    repairing: a majority has the manifest's model, so this peer distrusts its own state and asks for a snapshot.
    """

    entry: Entry
    computed: Digest
    parts: tuple[str, ...]
    repairing: bool


Effect = (
    Publish
    | FetchPayload
    | FetchSnapshot
    | SyncWith
    | OpenRound
    | Applied
    | Finalised
    | FinalityWithdrawn
    | FinalityWithout
    | Switched
    | SnapshotApplied
    | Refused
    | Equivocated
    | PieceDropped
    | SealingPaused
    | SealingResumed
    | ModelDiffers
)
