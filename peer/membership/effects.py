"""What the failure detector wants done, and what it has found out."""

from dataclasses import dataclass

from peer.types import PeerId, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask `peer` whether it is there, and say when it answers."""

    peer: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class AskThrough:
    """Have `helper` ask `target`, and say what it answers."""

    helper: PeerId
    target: PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspected:
    """A member does not answer. by: peers who say so, this one included. left_s: until it is given up, at most."""

    peer: PeerId
    silent_s: Seconds
    by: int
    left_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A member that was suspected, or given up, is there again."""

    peer: PeerId
    silent_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """A suspicion has outlived its time: the member is not to be waited for any more."""

    peer: PeerId
    silent_s: Seconds
    by: int


MemberEffect = Ask | AskThrough | Suspected | Returned | Died
