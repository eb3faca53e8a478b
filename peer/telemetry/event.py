"""The events of a peer's life: one frozen record a fact, in the past tense. Text is made at the sink.

Events name other peers by `PeerId`; the sink knows their short names. Text that came from another peer
(causes, details) may hold anything: the formats escape and shorten it.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

Level = Literal["debug", "info", "warning", "error"]

LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")

PEER_FIELDS = frozenset({"remote", "sealer", "donor", "previous_owner", "new_owner", "backup", "source"})
"""Fields that hold a peer id; the JSON format adds the short name beside each, as `<field>_name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events. for_machines: no line of text is made of it unless the log's level is debug.

    supersedes: one says all that an earlier one of its type said.
    """

    level: ClassVar[Level] = "info"
    for_machines: ClassVar[bool] = False
    supersedes: ClassVar[bool] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedEvent(Event):
    """An event that may come in floods: the sink tells the first at once, later only how many came.

    told_with: events of other types with the same word and the same key, such as coming and going, are told together
    when they were held back, in the order in which the last of each came: else the log would end with a lie. A longer
    key that begins with the same one goes with it.
    lasts: the event tells of a state that may be there for weeks, such as a peer that is refused and dials again: the
    longer it keeps coming, the rarer it is told.
    """

    told_with: ClassVar[str] = ""
    lasts: ClassVar[bool] = False
    count: int = 1

    def repeat_key(self) -> tuple[str, ...]:
        """Return what makes two of these the same for the rate limit."""
        return ()
