"""Events as JSON for machines: one object a line, keys stable, never NaN."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from peer.telemetry.event import PEER_FIELDS, Event
from peer.telemetry.names import NameBook
from peer.telemetry.plain_text import shortened
from peer.types import PeerId

MAX_TEXT = 2000
"""Bound on one string: causes and details may be a stranger's words."""

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


class JsonFormat:
    """Makes one object of each event.

    First come `event`, `time` (ISO 8601, UTC), `level`, `peer` (this peer's name) and `round` (null where none is
    meant), then the event's own fields. Digests are hex; peer ids get a `<field>_name` beside them.
    """

    def __init__(self, *, names: NameBook) -> None:
        self._names = names

    def line(self, event: Event, *, peer: str, time: datetime) -> str:
        """Return one line of ASCII JSON, without a line end."""
        record: dict[str, JsonValue] = {
            "event": event_name(event),
            "time": time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": event.level,
            "peer": peer,
            "round": None,
        }
        for field in dataclasses.fields(event):
            value = getattr(event, field.name)
            record[field.name] = to_json(value)
            if field.name in PEER_FIELDS and value is not None:
                record[f"{field.name}_name"] = self._names.name_of(PeerId(value))
        return json.dumps(record, allow_nan=False)


def event_name(event: Event) -> str:
    """Return the stable name: RoundSealed -> round_sealed."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def to_json(value: object) -> JsonValue:
    """Return what JSON can hold: NaN and infinities become null, bytes hex, NumPy numbers plain ones."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [to_json(item) for item in value]
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, None | bool | int | float):
        return value
    return shortened(str(value), most=MAX_TEXT)
