"""The life of the process: starts, waits, ends."""

from dataclasses import dataclass
from typing import ClassVar

from peer.telemetry.event import Event, Level
from peer.types import Digest, PeerId, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStarted(Event):
    """The process is up. boot: number of starts of this identity. data_dir: the slot that holds identity and state."""

    peer_id: PeerId
    version: str
    run: str
    env: str
    boot: int
    data_dir: str
    num_params: int
    config_digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstModelBegun(Event):
    """The learner is made, which takes about so long, as the layers are wide. weights: to be drawn."""

    weights: int
    about_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalMayBeOutOfReach(Event):
    """stop.mean_return was made for another environment. what: the same in words, with what to do."""

    level: ClassVar[Level] = "warning"
    env: str
    mean_return: float
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(Event):
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcing(Event):
    """What other machines are told to dial; peers on this one are told loopback as well."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookingFor(Event):
    """Discovery begins.

    targets: what discovery will try, in the user's words ("dns peer", a multiaddr); empty: nobody.
    """

    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRestored(Event):
    """The peer went on from its own disk."""

    round: int
    model: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStarted(Event):
    """The first round trains. startup_s: from the start of the process to the first training step."""

    device: str
    threads: int
    startup_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Event):
    """The peer is stuck. what: what it waits for and from whom, as a clause ("for 2 deltas of peer-4")."""

    what: str
    since_s: Seconds
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SealingAlone(Event):
    """The peer has company, yet seals without it.

    failures: exchanges since the last one that succeeded, with the last cause; 0 when they succeed, but the others'
    chains are not joined to ours.
    """

    level: ClassVar[Level] = "warning"
    supersedes: ClassVar[bool] = True
    connected: int
    since_s: Seconds
    failures: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLate(Event):
    """The event loop was late by `late_s` in all, in a window of `window_s`. longest_s: at one time."""

    level: ClassVar[Level] = "warning"
    supersedes: ClassVar[bool] = True
    late_s: Seconds
    longest_s: Seconds
    window_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownStarted(Event):
    """The peer was told to stop. waits_for: what may take long before it does, in words; empty: nothing."""

    cause: str
    waits_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentFailed(Event):
    """The environment, which is written in Python, raised: the peer stops, with exit code 1."""

    level: ClassVar[Level] = "error"
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """The summary of a run.

    reason: `solved`, `max_rounds` or `stopped`. peers: on the last round's roster. mean_return: greedy, NaN if not
    measured.
    """

    reason: str
    rounds: int
    peers: int
    env_steps: int
    wall_s: Seconds
    bytes_sent: int
    bytes_received: int
    mean_return: float
    model: Digest
    model_path: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAlreadyFinished(Event):
    """The state on disk is that of a finished run: there was nothing left to do. reason: as of `RunFinished`."""

    reason: str
    rounds: int
    env_steps: int
    mean_return: float
    model: Digest
    model_path: str
    data_dir: str
