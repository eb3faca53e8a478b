"""One simulated peer: its round machine, its learner, and the lives that it has had."""

from dataclasses import dataclass, field

import numpy as np

from peer.moments import merge_all
from peer.rounds.effects import OpenRound
from peer.rounds.entry import Entry
from peer.rounds.machine import LocalWork, RoundMachine
from peer.services.pace import Pace
from peer.simulation.attacks.attack import Attack
from peer.simulation.learner import Learner
from peer.simulation.signing import SimulatedSigner
from peer.types import Digest, ModelState, PeerId, Seconds

LATE_ROUNDS = 3
"""Rounds opened since the last announcement from which on a peer hands over at once, as peer/services/training.py."""

RECOVERY_S = 1.0
"""Pause after training diverged, as peer/services/training.py."""


@dataclass(slots=True)
class PeerLife:
    """One simulated peer over all its lives.

    number: 0 to peers - 1. speed: factor on the length of its training. attack: None for an honest peer.

    final: the manifest that it holds as final, by round. wake_at: when its machine is looked at next without mail.
    """

    number: int
    signer: SimulatedSigner
    speed: float
    attack: Attack | None
    machine: RoundMachine = field(init=False)
    learner: Learner = field(init=False)
    pace: Pace = field(init=False)
    life: int = 0
    is_alive: bool = False
    started_at: Seconds = 0.0
    wake_at: Seconds | None = None
    disk: bytes | None = None
    final: dict[int, Digest] = field(default_factory=dict)
    opened: OpenRound | None = None
    trains_since: Seconds = 0.0
    rounds_open: int = 0

    @property
    def peer_id(self) -> PeerId:
        return self.signer.peer_id

    @property
    def is_honest(self) -> bool:
        return self.attack is None

    @property
    def name(self) -> str:
        return f"peer-{self.number}"

    @property
    def tip(self) -> Entry:
        return self.machine.tip

    def begin_life(self, machine: RoundMachine, learner: Learner, *, train_s: Seconds, now: Seconds) -> None:
        """Start or restart with a fresh machine and learner. train_s: of a round."""
        self.machine, self.learner = machine, learner
        self.pace = Pace(self.peer_id, train_s=train_s, env_steps=None)
        self.is_alive, self.started_at, self.wake_at, self.opened = True, now, None, None
        self.rounds_open = 0
        self.final.clear()

    def open_round(self, opened: OpenRound, now: Seconds) -> None:
        """Train for another round; what was trained since the last announcement goes on, on the new base."""
        if self.opened is None:
            self.trains_since = now
        self.pace.note(opened.base)
        self.opened = opened
        self.rounds_open += 1

    def train(self, now: Seconds) -> LocalWork:
        """Return what was learned up to now; the round that is open gets it. Raises: ArithmeticError: it diverged."""
        assert self.opened is not None, "only an open round is trained for"
        opened = self.opened
        train_s = max(now - self.trains_since, 1e-3)
        trained = self.learner.train(_start(opened), train_s=train_s / self.speed)
        self.opened, self.rounds_open = None, 0
        return LocalWork(
            base=opened.base.digest,
            env_steps=trained.env_steps,
            delta=trained.delta,
            steps_per_s=round(trained.env_steps / train_s),
            approx_kl=trained.approx_kl,
            mean_return=trained.mean_return,
            eval_return=None,
            tasks=("standard",),
        )

    def start_over(self, opened: OpenRound, *, at: Seconds) -> OpenRound:
        """Train for the round again, from `at` on, and from the common model: the last state known to be sound."""
        self.opened = OpenRound(round=opened.round, base=opened.base, state=opened.state, pieces=())
        self.trains_since = at
        return self.opened


def _start(opened: OpenRound) -> ModelState:
    """Return the base with own unadmitted pieces on it, and with what the codec left out of the last own delta.

    Raises: ArithmeticError when that is no model.
    """
    if not opened.pieces and opened.remainder is None:
        return opened.state
    own = [piece.delta.params for piece in opened.pieces]
    if opened.remainder is not None:
        own.append(opened.remainder)
    with np.errstate(over="ignore", invalid="ignore"):  # looked at below
        params = opened.state.params + np.sum(own, axis=0, dtype=np.float32)
    if not np.isfinite(params).all():
        raise ArithmeticError("the model with own work on it holds NaN or infinity")
    moments = merge_all(opened.state.moments, (piece.delta.moments for piece in opened.pieces))
    return ModelState(params=params.astype(np.float32), moments=moments)
