"""Other peers and the network: who is met, lost, refused, suspected, and why."""

from dataclasses import dataclass
from typing import ClassVar

from peer.telemetry.event import Event, Level, RepeatedEvent
from peer.types import PeerId, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerJoined(RepeatedEvent):
    """A peer of this run connected and passed the handshake. peers: connected now, this one included."""

    told_with: ClassVar[str] = "presence"
    remote: PeerId
    boot: int
    peers: int

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStopped(RepeatedEvent):
    """A peer said goodbye, as it does when it is told to stop or the run has ended. peers: as in `PeerJoined`."""

    told_with: ClassVar[str] = "presence"
    remote: PeerId
    peers: int

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerLeft(RepeatedEvent):
    """A peer is connected no longer, and has not said goodbye. peers: as in `PeerJoined`."""

    told_with: ClassVar[str] = "presence"
    remote: PeerId
    cause: str
    peers: int

    def repeat_key(self) -> tuple[str, ...]:
        return (self.remote,)


@dataclass(frozen=True, slots=True, kw_only=True)
class GossipInterrupted(RepeatedEvent):
    """A connected peer does not take our gossip; failures: streams to it in a row that did not open, or broke."""

    level: ClassVar[Level] = "warning"
    lasts: ClassVar[bool] = True
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
    """Someone connected who cannot take part: another run, version, config or model. host: None where unknown."""

    level: ClassVar[Level] = "warning"
    lasts: ClassVar[bool] = True
    told_with: ClassVar[str] = "presence"
    remote: PeerId
    host: str | None
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
    """An allow-list was not valid. source: who passed it on. file: where it was found, else."""

    level: ClassVar[Level] = "warning"
    lasts: ClassVar[bool] = True
    source: PeerId | None
    file: str | None
    cause: str

    def repeat_key(self) -> tuple[str, ...]:
        return (self.source or self.file or "", self.cause)


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
    """There is proof that a peer contradicted itself: nobody takes it in any more.

    source: who brought the proof, None when it was seen here.
    """

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
    lasts: ClassVar[bool] = True
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
    lasts: ClassVar[bool] = True
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
    """A dial failed and follows again soon: usual while the others are still starting, or have just left.

    remote: who was expected to answer, None for whoever does.
    """

    level: ClassVar[Level] = "debug"
    address: str
    remote: PeerId | None
    cause: str
    retry_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class DialFailed(RepeatedEvent):
    """An address has not answered for a while. failures: in a row. retry_s: until the next try; dialling never ends.

    remote: as in `DialRetried`.
    """

    address: str
    remote: PeerId | None
    cause: str
    retry_s: Seconds
    failures: int

    def repeat_key(self) -> tuple[str, ...]:
        return (self.address,)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryFailed(RepeatedEvent):
    """A source of addresses gave none: a name that does not resolve, for example."""

    lasts: ClassVar[bool] = True
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
    supersedes: ClassVar[bool] = True
    addresses: tuple[str, ...]
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressesChanged(Event):
    """This machine has other addresses than before. gone: those it has lost. now: what others are told from now on."""

    supersedes: ClassVar[bool] = True
    gone: tuple[str, ...]
    now: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRefused(RepeatedEvent):
    """A message broke the protocol, and was dropped. reason: the counter's name, as in `ProtocolError.reason`."""

    level: ClassVar[Level] = "warning"
    lasts: ClassVar[bool] = True
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
    supersedes: ClassVar[bool] = True
    frames: int
    streams: int
    messages: int
