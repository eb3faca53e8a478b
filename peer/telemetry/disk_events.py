"""The disk: what is saved, adopted, damaged, or cannot be written."""

from dataclasses import dataclass
from typing import ClassVar

from peer.telemetry.event import Event, Level, RepeatedEvent
from peer.types import Digest, PeerId


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
class ModelSaved(Event):
    """A peer that stopped before the end of its run left the model so far where `murmur eval` and others read it."""

    round: int
    path: str


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
class OtherVersionKept(Event):
    """State of this run was found that another version wrote, and left as it is: one of another protocol, or with other
    keys marked (=). remedy: what is used instead."""

    level: ClassVar[Level] = "warning"
    path: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSettingsKept(Event):
    """There is no state of this run under its settings, but under others. keys: those marked (=) that have changed."""

    path: str
    keys: tuple[str, ...]
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFailed(RepeatedEvent):
    """The disk refused a write; training goes on with the last good state on disk."""

    level: ClassVar[Level] = "error"
    lasts: ClassVar[bool] = True
    told_with: ClassVar[str] = "storage"
    operation: str
    cause: str

    def repeat_key(self) -> tuple[str, ...]:
        return (self.operation,)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageRecovered(RepeatedEvent):
    """What the disk had refused is written, with all that came meanwhile."""

    told_with: ClassVar[str] = "storage"
    operation: str

    def repeat_key(self) -> tuple[str, ...]:
        return (self.operation,)
