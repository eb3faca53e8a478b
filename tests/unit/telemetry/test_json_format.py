"""Objects for machines: stable keys, strict JSON, whatever the values are."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from peer.telemetry import peer_events, process_events, round_events
from peer.telemetry.event import Event
from peer.telemetry.json_format import MAX_TEXT, JsonFormat, event_name, to_json
from peer.telemetry.names import NameBook
from tests.unit.telemetry.samples import ALICE, DIGEST, EVENT_TYPES, round_sealed, sample

NOON = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)


def record(event: Event) -> dict[str, object]:
    names = NameBook()
    names.learn(ALICE, "peer-1")
    line = JsonFormat(names=names).line(event, peer="peer-3", time=NOON)
    assert "\n" not in line
    assert line.isascii()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    parsed = json.loads(line, parse_constant=refuse)
    assert isinstance(parsed, dict)
    return parsed


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_every_event_is_one_object_with_the_common_keys(kind: type[Event]) -> None:
    got = record(sample(kind))
    assert list(got)[:5] == ["event", "time", "level", "peer", "round"]
    assert got["event"] == event_name(sample(kind))
    assert got["peer"] == "peer-3"
    assert got["level"] == kind.level


def test_sealed_round_has_the_fields_that_tools_read() -> None:
    got = record(round_sealed())
    assert got["event"] == "round_sealed"
    assert got["time"] == "2026-03-01T12:00:00.123Z"
    assert (got["round"], got["model"], got["mean_return"]) == (41, DIGEST.hex(), 312.4)
    assert (got["sealer"], got["sealer_name"]) == (ALICE, "peer-1")


def test_event_without_a_round_has_null() -> None:
    assert record(process_events.Listening(addresses=()))["round"] is None


def test_absent_peer_has_no_name() -> None:
    got = record(round_events.TaskMoved(round=1, task="t", previous_owner=None, new_owner=ALICE, why="new"))
    assert got["previous_owner"] is None
    assert "previous_owner_name" not in got
    assert got["new_owner_name"] == "peer-1"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_not_a_number_becomes_null(value: float) -> None:
    assert record(round_sealed(mean_return=value))["mean_return"] is None


def test_numpy_numbers_become_plain_ones() -> None:
    got = record(round_sealed(mean_return=np.float32(1.5), env_steps=np.int64(7), admitted=np.uint8(3)))
    assert (got["mean_return"], got["env_steps"], got["admitted"]) == (1.5, 7, 3)


def test_nested_values_are_converted() -> None:
    assert to_json({1: (b"\x01", {math.nan}, [NOON])}) == {"1": ["01", [None], [str(NOON)]]}


def test_text_is_bounded() -> None:
    text = to_json("x" * 1_000_000)
    assert isinstance(text, str)
    assert len(text) == MAX_TEXT


def test_time_is_utc_wherever_the_clock_is() -> None:
    there = NOON.astimezone(timezone(timedelta(hours=-7)))
    line = JsonFormat(names=NameBook()).line(process_events.Listening(addresses=()), peer="p", time=there)
    assert json.loads(line)["time"] == "2026-03-01T12:00:00.123Z"


def test_text_of_strangers_is_escaped() -> None:
    got = record(peer_events.MessageRefused(remote=ALICE, reason="bad", detail='\n\x1b\u2028\ud800"'))
    assert got["detail"] == '\n\x1b\u2028\ud800"'
