"""Connections in sum: that they run out, over whom, and that the system gives no more."""

from dataclasses import dataclass
from typing import ClassVar

from peer.telemetry.event import Level, RepeatedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionsTaken(RepeatedEvent):
    """All connections but one were taken, a quarter of them or more by strangers, of whom one gave way.

    connections: in all, as allowed. strangers: peers that are connected and were not admitted.
    """

    level: ClassVar[Level] = "warning"
    lasts: ClassVar[bool] = True
    connections: int
    strangers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptFailed(RepeatedEvent):
    """Nobody can connect to this peer, as the operating system refuses; peers that are connected stay so.

    cause: what it says, and what to do.
    """

    level: ClassVar[Level] = "warning"
    lasts: ClassVar[bool] = True
    cause: str
