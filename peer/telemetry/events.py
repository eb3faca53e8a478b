"""The events of a peer's life: one frozen record a fact, in the past tense. Text is made at the sink.

Events name other peers by `PeerId`; the sink knows their short names. Text that came from another peer
(causes, details) may hold anything: the formats escape and shorten it.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from peer.types import Digest, PeerId, Seconds

Level = Literal["debug", "info", "warning", "error"]

LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")

PEER_FIELDS = frozenset({"remote", "sealer", "donor", "previous_owner", "new_owner", "backup", "source"})
"""Fields that hold a peer id; the JSON format adds the short name beside each, as `<field>_name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events. for_machines: no line of text is made of it unless the log's level is debug."""

    level: ClassVar[Level] = "info"
    for_machines: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedEvent(Event):
    """An event that may come in floods: the sink tells the first at once, later only how many came."""

    count: int = 1

    def repeat_key(self) -> tuple[str, ...]:
        """Return what makes two of these the same for the rate limit."""
        return ()


# --- life of the process --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStarted(Event):
    """boot: number of starts of this identity. data_dir: the slot that holds identity and state."""

    peer_id: PeerId
    version: str
    run: str
    env: str
    boot: int
    data_dir: str
    num_params: int
    config_digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(Event):
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcing(Event):
    """What other machines are told to dial; peers on this one are told loopback as well."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LookingFor(Event):
    """targets: what discovery will try, in the user's words ("dns peer", a multiaddr); empty: nobody."""

    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateRestored(Event):
    """The peer went on from its own disk."""

    round: int
    model: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStarted(Event):
    """startup_s: from the start of the process to the first training step."""

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
    """The peer has company and seals without it. failures: exchanges since the last one that succeeded, and the last
    cause; 0: they succeed, but the others' chains are not joined to ours."""

    level: ClassVar[Level] = "warning"
    connected: int
    since_s: Seconds
    failures: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLate(Event):
    """The event loop was late by `late_s` in all, in a window of `window_s`."""

    level: ClassVar[Level] = "warning"
    late_s: Seconds
    window_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownStarted(Event):
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """The summary. reason: `solved`, `max_rounds` or `stopped`. mean_return: greedy, NaN if not measured."""

    reason: str
    rounds: int
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


# --- peers and the network ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerJoined(Event):
    """A peer of this run connected and passed the handshake. peers: connected now, this one included."""

    remote: PeerId
    boot: int
    peers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLeft(Event):
    remote: PeerId
    cause: str
    peers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipInterrupted(RepeatedEvent):
    """A connected peer does not take our gossip; failures: streams to it in a row that did not open, or broke."""

    level: ClassVar[Level] = "warning"
    remote: PeerId
    failures: int
    cause: str

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerSuspected(RepeatedEvent):
    """Nobody asked gets an answer of a connected peer. by: peers who say so. left_s: until it is given up, at most."""

    level: ClassVar[Level] = "warning"
    remote: PeerId
    by: int
    silent_s: Seconds
    left_s: Seconds

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerReturned(RepeatedEvent):
    """A peer that was suspected or given up is there again. silent_s: how long nothing came of it."""

    remote: PeerId
    silent_s: Seconds

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRefused(RepeatedEvent):
    """Someone connected who cannot take part: another run, version, config or model."""

    level: ClassVar[Level] = "warning"
    remote: PeerId
    reason: str
    detail: str

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote, self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowListAdopted(Event):
    """A newer allow-list holds from now on. allowed: peers on it. source: who passed it on, None for a file."""

    version: int
    allowed: int
    source: PeerId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowListRefused(RepeatedEvent):
    """An allow-list was not valid: of this peer's own files, or passed on by another."""

    level: ClassVar[Level] = "warning"
    remote: PeerId
    cause: str

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote, self.cause)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAllowed(RepeatedEvent):
    """This very peer is not on the newest allow-list: nobody takes it in, and it trains alone."""

    level: ClassVar[Level] = "error"
    peer_id: PeerId
    version: int

    def repeat_key(self) -> tuple[str, ...]:
        return (str(self.version),)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDenied(RepeatedEvent):
    """There is proof that a peer contradicted itself: nobody takes it in any more. source: who brought the proof, None
    when it was seen here."""

    level: ClassVar[Level] = "warning"
    remote: PeerId
    what: str
    source: PeerId | None

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote,)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityRunsTwice(RepeatedEvent):
    """Two processes are connected with one identity: `boot`, which is served, and `other_boot`, which is turned away.

    addresses, other_addresses: where each says that it listens.
    """

    level: ClassVar[Level] = "warning"
    remote: PeerId
    boot: int
    addresses: tuple[str, ...]
    other_boot: int
    other_addresses: tuple[str, ...]

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote,)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnIdentityRunsTwice(RepeatedEvent):
    """Another process runs with the identity of this one. leaves: it is the newer, and this one takes no part any more.

    source: who says so, with the other's signature; None when we dialled it ourselves, `other_boot` is unknown then.
    """

    level: ClassVar[Level] = "error"
    peer_id: PeerId
    boot: int
    other_boot: int | None
    other_name: str
    addresses: tuple[str, ...]
    source: PeerId | None
    leaves: bool

    def repeat_key(self) -> tuple[str, ...]:
        return (str(self.leaves), *self.addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class DialRetried(Event):
    """A dial failed and follows again soon: usual while the others are still starting, or have just left."""

    level: ClassVar[Level] = "debug"
    address: str
    cause: str
    retry_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DialFailed(RepeatedEvent):
    """An address has not answered for a while. failures: in a row. retry_s: until the next try; dialling never ends."""

    address: str
    cause: str
    retry_s: Seconds
    failures: int

    def repeat_key(self) -> tuple[str, ...]:
        return (self.address,)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryFailed(RepeatedEvent):
    """A source of addresses gave none: a name that does not resolve, for example."""

    source: str
    cause: str

    def repeat_key(self) -> tuple[str, ...]:
        return (self.source,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressReached(Event):
    """A peer dialled us back at these of our announced addresses, and found us."""

    addresses: tuple[str, ...]
    remote: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressesUnreached(Event):
    """None of `asked` peers could reach us at any address that we announce; our own connections carry everything."""

    level: ClassVar[Level] = "warning"
    addresses: tuple[str, ...]
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRefused(RepeatedEvent):
    """reason: the counter's name, as in `ProtocolError.reason`."""

    level: ClassVar[Level] = "warning"
    remote: PeerId
    reason: str
    detail: str

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote, self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRefused(Event):
    """Totals since the start of what came in and was refused, told when they have grown.

    frames: connections that did not speak the protocol, and what was too large or too much. streams: requests and
    gossip that broke off or could not be served. messages: those that were read, and judged bad.
    """

    level: ClassVar[Level] = "warning"
    frames: int
    streams: int
    messages: int


# --- rounds ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundStarted(Event):
    level: ClassVar[Level] = "debug"
    round: int
    base: Digest


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSealed(Event):
    """The line of a round.

    mean_return: greedy return of the model that the round began with, as the peers measured it; where none did, of
    their training episodes; NaN while none ended. best_return: the highest so far.
    admitted, roster: peers whose deltas count, of those expected. delta_bytes, codec: this peer's payload.
    seal_s: from the end of training to the seal's arrival. view: the sealer's rank, 0 for the first.
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
    """This peer's hash was not the majority's. It reloads and replays; `incidents` counts since the start."""

    level: ClassVar[Level] = "error"
    round: int
    own: Digest
    majority: Digest
    incidents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(Event):
    level: ClassVar[Level] = "debug"
    round: int
    mean_return: float
    episodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingDiverged(Event):
    """Local training yielded NaN, infinity or an absurd delta; it was given up and starts again from the base."""

    level: ClassVar[Level] = "warning"
    round: int
    cause: str
    env_steps: int


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
    """previous_owner: None for a new task. why: a clause ("peer-2 left")."""

    round: int
    task: str
    previous_owner: PeerId | None
    new_owner: PeerId | None
    why: str


# --- disk -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSaved(Event):
    level: ClassVar[Level] = "debug"
    round: int
    size_bytes: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSaved(Event):
    """The newest state of the common model is on disk, where the next start goes on from it."""

    round: int
    model: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotAdopted(Event):
    """The state of `round` was taken from `donor` instead of being replayed."""

    round: int
    donor: PeerId
    model: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDamaged(Event):
    """A file on disk could not be trusted. remedy: what was used instead."""

    level: ClassVar[Level] = "warning"
    path: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFailed(RepeatedEvent):
    """The disk refused a write; training goes on with the last good state on disk."""

    level: ClassVar[Level] = "error"
    operation: str
    cause: str

    def repeat_key(self) -> tuple[str, ...]:
        return (self.operation,)
