"""Rounds: sealed, final, replaced; tasks, work and tests of the policy."""

from dataclasses import dataclass
from typing import ClassVar

from peer.telemetry.event import Event, Level, RepeatedEvent
from peer.types import Digest, PeerId, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStarted(Event):
    level: ClassVar[Level] = "debug"
    round: int
    base: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrained(Event):
    """What this peer's training came to that is announced for a round: sums and means since the announcement before.

    train_s: seconds of training. waited_s: seconds without work, as the network had not moved on. mean_return,
    mean_length: of the training episodes that ended, the latter in env steps; NaN when none did. std: of the actions at
    the end; NaN where they are discrete. The others are `peer.types.UpdateFigures`, as means over the updates.
    """

    level: ClassVar[Level] = "debug"
    round: int
    env_steps: int
    train_s: Seconds
    waited_s: Seconds
    episodes: int
    mean_return: float
    mean_length: float
    policy_loss: float
    value_loss: float
    entropy: float
    approx_kl: float
    clip_fraction: float
    base_kl: float
    explained_variance: float
    learning_rate: float
    std: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksTrained(Event):
    """What the training of a round brought on each of this peer's tasks, where there are several.

    episodes, mean_returns: of each task of `tasks`; tasks without an ended episode are left out.
    """

    level: ClassVar[Level] = "debug"
    round: int
    tasks: tuple[str, ...]
    episodes: tuple[int, ...]
    mean_returns: tuple[float, ...]


SOLVED = "solved"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSealed(Event):
    """The line of a round.

    mean_return: greedy return of the model that the round began with, as the peers measured it; where none did, of
    their training episodes; NaN while none ended. best_return: the highest so far.
    admitted, roster: peers whose deltas count, of those expected. delta_bytes, codec: this peer's payload.
    seal_s: from the end of training to the seal's arrival. view: the sealer's rank, 0 for the first.
    stop: empty, or why the run ends with this round: max_rounds, or solved, and then the model is that of the round
    before, kept as it was measured.
    """

    round: int
    mean_return: float
    best_return: float
    admitted: int
    roster: int
    steps_per_s: float
    delta_bytes: int
    sealer: PeerId
    seal_s: Seconds
    model: Digest
    manifest: Digest
    env_steps: int
    codec: str = ""
    view: int = 0
    rejected: int = 0
    stop: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundFinal(Event):
    """More than half of the roster stands behind the round with the same model."""

    for_machines: ClassVar[bool] = True
    round: int
    model: Digest
    roster: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityContested(Event):
    """`remote` is on another chain, so no round after `round` (None: none at all) is final until the two are one."""

    round: int | None
    remote: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityReopened(Event):
    """`remote` can be reached again: rounds after `round`, decided without it, are final once most stand behind them.

    round: None where that goes for all rounds.
    """

    round: int | None
    remote: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalityGoesOn(Event):
    """Finality does not wait for `remote` any more.

    For longer than any two chains need to become one, it has said that it is on another, while this one went on.
    """

    remote: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class TipReplaced(Event):
    """A better branch was adopted. undone: rounds left behind. carried: own deltas to be sent again."""

    round: int
    undone: int
    carried: int
    model: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchWorkReturned(Event):
    """Own work of a branch that was left goes into the next delta, as late work."""

    round: int
    env_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingStopped(Event):
    """Mode `strict`: too few of the roster can be reached to go on. reachable: this peer included."""

    level: ClassVar[Level] = "warning"
    round: int
    reachable: int
    roster: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingWentOn(Event):
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterChanged(Event):
    round: int
    added: tuple[PeerId, ...]
    removed: tuple[PeerId, ...]
    roster: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessChanged(Event):
    """What the aggregation rule claims with this roster. withstands: bad peers, 0: it claims nothing."""

    round: int
    rule: str
    roster: int
    withstands: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaCarried(Event):
    """Own delta was not admitted and goes back into the next one."""

    level: ClassVar[Level] = "debug"
    round: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDiffered(Event):
    """This peer computed another model than a manifest names.

    parts: the parts of the model that differ, by name, as the sealer has it; none where that is unknown. repairing: a
    majority got what the manifest names, so this peer takes a snapshot. incidents: how many since the start.
    """

    level: ClassVar[Level] = "error"
    round: int
    own: Digest
    sealed: Digest
    parts: tuple[str, ...]
    repairing: bool
    incidents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(Event):
    level: ClassVar[Level] = "debug"
    round: int
    mean_return: float
    episodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDiverged(RepeatedEvent):
    """Local training yielded NaN, infinity or an absurd delta; it was given up and starts again from the base.

    A lone peer whose evaluation fails has no other base to try, and meets the same a second later, for ever.
    """

    level: ClassVar[Level] = "warning"
    lasts: ClassVar[bool] = True
    supersedes: ClassVar[bool] = True
    round: int
    cause: str
    env_steps: int

    def repeat_key(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkDropped(Event):
    """Own work that no manifest admitted in time, or that an adopted snapshot may already hold, was given up."""

    level: ClassVar[Level] = "warning"
    env_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksAssigned(Event):
    """What this peer trains on from now on. helping: it owns none and helps the owner of these."""

    round: int
    tasks: tuple[str, ...]
    helping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMoved(Event):
    """A task changed hands. previous_owner: None for a new task. why: a clause ("peer-2 left")."""

    round: int
    task: str
    previous_owner: PeerId | None
    new_owner: PeerId | None
    why: str
