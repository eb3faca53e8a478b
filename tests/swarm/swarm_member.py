"""One peer of a `MachineSwarm` with all that happens to it, and the faults of the links between peers."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from peer.network.identity import Identity
from peer.rounds.effects import (
    Effect,
    Finalised,
    FinalityWithdrawn,
    ModelDiffers,
    PieceDropped,
    Refused,
    SnapshotApplied,
    Switched,
)
from peer.rounds.entry import Entry
from peer.rounds.machine import RoundMachine
from peer.services.pace import Pace
from peer.types import Digest


def nothing_blocked(_a: int, _b: int) -> bool:
    return False


@dataclass
class Faults:
    """Rates are probabilities; times in seconds of virtual time. `blocked(a, b)` cuts the link between two peers;
    `deaf(a, b)` loses what `a` sends to `b`, although both think that they are connected. corrupt: of blobs pulled."""

    loss: float = 0.0
    latency_s: float = 0.02
    duplicate: float = 0.0
    blocked: Callable[[int, int], bool] = nothing_blocked
    deaf: Callable[[int, int], bool] = nothing_blocked
    corrupt: float = 0.0

    def cuts(self, a: int, b: int) -> bool:
        """Return whether nothing that `a` sends to `b` arrives."""
        return self.blocked(a, b) or self.deaf(a, b)

    def delay(self, rng: random.Random) -> float:
        return self.latency_s * rng.uniform(0.5, 2.0)

    def loses(self, rng: random.Random) -> bool:
        return rng.random() < self.loss

    def pulled(self, data: bytes, rng: random.Random) -> bytes:
        """Return a blob as it arrives: with one bit flipped, now and then."""
        if not self.corrupt or rng.random() >= self.corrupt:
            return data
        at = rng.randrange(len(data))
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


@dataclass(eq=False)
class Member:
    number: int
    identity: Identity
    machine: RoundMachine
    pace: Pace = field(init=False)
    alive: bool = True
    life: int = 0
    speed: float = 1.0
    train_token: int = 0
    rounds_open: int = 0
    wake_at: float | None = None
    bits: int = 0
    final: dict[int, Digest] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    differs: list[ModelDiffers] = field(default_factory=list)
    dropped_steps: int = 0
    has_been_forgotten: bool = False
    switched: int = 0
    disk: bytes | None = None
    disk_full: bool = False
    unsaved: int = 0
    clock_ahead_s: float = 0.0
    paused_until: float = 0.0
    abandoned: list[Entry] = field(default_factory=list)

    def note(self, effect: Effect) -> None:
        """Remember what a machine tells; nothing that other members notice follows from it."""
        match effect:
            case Finalised():
                self.final[effect.entry.round] = effect.entry.digest
            case FinalityWithdrawn():
                self._unlearn_final(above=-1 if effect.final_round is None else effect.final_round)
            case Refused():
                self.refused.append(effect)
            case ModelDiffers():
                self.differs.append(effect)
            case PieceDropped():
                self.dropped_steps += effect.env_steps
            case Switched():
                self.switched += 1
                self._unlearn_final(above=effect.ancestor_round)
            case SnapshotApplied():
                self.abandoned.append(effect.abandoned)
                is_known = effect.entry.held_of(self.identity.peer_id) > 0
                self.has_been_forgotten |= effect.entry.horizon > 0 and not is_known
                self._unlearn_final(above=-1)
            case _:
                pass

    def _unlearn_final(self, *, above: int) -> None:
        """Hold no round after `above` as final any more."""
        self.final = {number: digest for number, digest in self.final.items() if number <= above}
