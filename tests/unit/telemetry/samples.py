"""One example of every event, made from its types, so that a new event is tested without being listed here."""

import dataclasses
import types
import typing

from peer.telemetry import connection_events, disk_events, peer_events, process_events, round_events
from peer.telemetry.event import Event, RepeatedEvent
from peer.types import Digest, PeerId

ALICE = PeerId("12D3KooWAliceAliceAliceAAA111")
DIGEST = Digest(bytes.fromhex("9f3ac2") + bytes(29))

EVENT_TYPES = sorted(
    (
        kind
        for module in (connection_events, disk_events, peer_events, process_events, round_events)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Event) and kind not in (Event, RepeatedEvent)
    ),
    key=lambda kind: kind.__name__,
)

_VALUES: dict[object, object] = {
    int: 7,
    float: 1.5,
    str: "word",
    bool: True,
    bytes: DIGEST,
    Digest: DIGEST,
    PeerId: ALICE,
}


def sample(kind: type[Event], **changes: object) -> Event:
    hints = typing.get_type_hints(kind)
    values = {field.name: _value(hints[field.name]) for field in dataclasses.fields(kind)}
    return kind(**{**values, **changes})


def round_sealed(**changes: object) -> round_events.RoundSealed:
    event = round_events.RoundSealed(
        round=41,
        mean_return=312.4,
        best_return=340.1,
        admitted=5,
        roster=5,
        steps_per_s=84_200.0,
        delta_bytes=11_200,
        codec="float32",
        sealer=ALICE,
        seal_s=0.3,
        model=DIGEST,
        manifest=DIGEST,
        env_steps=168_400,
    )
    return dataclasses.replace(event, **changes)  # type: ignore[arg-type]  # tests name real fields


def _value(hint: object) -> object:
    if typing.get_origin(hint) is tuple:
        return (_value(typing.get_args(hint)[0]),) * 2
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return _value(typing.get_args(hint)[0])
    return _VALUES[hint]
