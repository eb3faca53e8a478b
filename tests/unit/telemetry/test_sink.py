"""The log: levels, floods, and streams that go away."""

import errno
import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

import pytest

from peer.telemetry import disk_events, peer_events, round_events
from peer.telemetry.counters import Counters
from peer.telemetry.event import LEVELS, Level, RepeatedEvent
from peer.telemetry.line_writer import MAX_BACKLOG
from peer.telemetry.names import NameBook
from peer.telemetry.rate_limit import LONGEST_S, MAX_KEYS, QUIET_S, RateLimit
from peer.telemetry.sink import REPEAT_PERIOD_S, LogSink, RecordingSink
from peer.types import PeerId
from tests.unit.telemetry.samples import ALICE, DIGEST, EVENT_TYPES, round_sealed, sample


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def log(stream: TextIO, **settings: Any) -> tuple[LogSink, Counters, Clock]:  # Any: passed through to LogSink
    counters, clock = Counters(), Clock()
    sink = LogSink(stream, peer="peer-3", names=NameBook(), counters=counters, clock=clock, **settings)
    return sink, counters, clock


def refused(detail: str = "x", remote: PeerId = ALICE) -> peer_events.MessageRefused:
    return peer_events.MessageRefused(remote=remote, reason="bad_signature", detail=detail)


@pytest.mark.parametrize("level", LEVELS)
def test_only_events_of_the_level_and_above_are_written(level: Level) -> None:
    stream = io.StringIO()
    sink, _, _ = log(stream, level=level, output="json")
    for kind in EVENT_TYPES:
        sink.emit(sample(kind))
    written = {json.loads(line)["level"] for line in stream.getvalue().splitlines()}
    assert written == set(LEVELS[LEVELS.index(level) :])


def test_final_rounds_are_for_machines_and_for_debugging() -> None:
    final = round_events.RoundFinal(round=1, model=DIGEST, roster=4)
    lines = {}
    for output in ("text", "json"):
        for level in ("debug", "info"):
            stream = io.StringIO()
            log(stream, level=level, output=output)[0].emit(final)
            lines[output, level] = bool(stream.getvalue())
    assert lines == {("text", "debug"): True, ("text", "info"): False, ("json", "debug"): True, ("json", "info"): True}


def test_lines_of_text_begin_with_the_time_where_that_is_wanted() -> None:
    stream = io.StringIO()
    sink, _, _ = log(stream, tells_time=True, now=lambda: datetime(2026, 11, 28, 13, 5, 9, tzinfo=UTC))
    sink.emit(refused())
    assert stream.getvalue().startswith("2026-11-28 13:05:09Z peer-3 | warning: ")


def test_flood_is_told_once_and_then_counted() -> None:
    stream = io.StringIO()
    sink, _, clock = log(stream)
    for index in range(1000):
        sink.emit(refused(f"no. {index}"))
    assert stream.getvalue().count("\n") == 1
    assert "no. 0" in stream.getvalue()
    clock.now += REPEAT_PERIOD_S
    sink.emit(round_sealed())
    lines = stream.getvalue().splitlines()
    assert lines[1].endswith("bad_signature: no. 999 (999 times)")
    assert " round 41 " in lines[2]
    clock.now += 2 * REPEAT_PERIOD_S
    sink.emit(refused("much later"))
    assert stream.getvalue().splitlines()[3].endswith("much later")


def turned_away(reason: str = "config") -> peer_events.PeerRefused:
    return peer_events.PeerRefused(remote=ALICE, host="192.0.2.9", reason=reason, detail="x")


def test_peer_that_is_refused_for_weeks_is_told_ever_more_rarely_and_still_found_in_the_end() -> None:
    """It dials again every half a minute."""
    limit, week_s = RateLimit(period_s=REPEAT_PERIOD_S), 7 * 24 * 3600
    told = [(now, event.count) for now in range(0, week_s, 30) for event in _told(limit, turned_away(), now=now)]
    gaps = [later - now for (now, _), (later, _) in pairwise(told)]
    assert gaps[:6] == [30, 30, 60, 90, 180, 330]  # 10, 20, 40, 80, 160, 320, told with the dial after
    assert set(gaps[6:]) <= {LONGEST_S, LONGEST_S + 30}
    assert sum(count for _, count in told) + sum(event.count for event in limit.rest()) == week_s // 30


def test_training_that_diverges_each_second_is_told_ever_more_rarely() -> None:
    stream = io.StringIO()
    sink, _, clock = log(stream)
    for second in range(600):
        clock.now = 100.0 + second
        sink.emit(round_events.TrainingDiverged(round=1 + second // 2, cause=f"{second} is infinite", env_steps=0))
    first, *later = stream.getvalue().splitlines()
    assert "round 1: training diverged, 0 env steps given up: 0 is infinite" in first
    assert [line.rpartition("(")[2] for line in later] == [f"{times} times)" for times in (9, 20, 40, 80, 160)]
    sink.close()
    assert "round 300: training diverged" in stream.getvalue().splitlines()[-1]


def test_peer_that_is_refused_again_after_it_was_taken_in_is_told_at_once() -> None:
    limit = RateLimit(period_s=REPEAT_PERIOD_S)
    for now in range(0, 300, 15):
        _told(limit, turned_away(), now=now)
    assert _told(limit, joined(), now=301) == [joined()]
    assert [event.count for event in limit.overtaken(joined())] == [7], "what was held is told before"
    assert _told(limit, turned_away(), now=320) == [turned_away()]
    assert _told(limit, turned_away("swarm_key"), now=321) == [turned_away("swarm_key")], "another reason is news"


def test_what_lasted_and_is_over_is_told_to_its_end_and_then_anew() -> None:
    limit = RateLimit(period_s=REPEAT_PERIOD_S)
    for now in range(0, 3600, 15):
        _told(limit, turned_away(), now=now)
    assert [event.count for event in limit.due(now=3585 + QUIET_S)] != []
    assert limit.due(now=3585 + QUIET_S) == []
    assert _told(limit, turned_away(), now=3590 + QUIET_S) == [turned_away()]


def test_strangers_that_are_refused_leave_room_for_what_else_there_is_to_tell() -> None:
    limit = RateLimit(period_s=REPEAT_PERIOD_S)
    for number in range(10 * MAX_KEYS):
        _told(limit, refused(remote=PeerId(f"p{number}")), now=0.0)
    for number in range(MAX_KEYS):
        assert _told(limit, joined(PeerId(f"p{number}")), now=1.0) != []


def _told(limit: RateLimit, event: RepeatedEvent, *, now: float) -> list[RepeatedEvent]:
    admitted = limit.admit(event, now=now)
    return limit.due(now=now) + ([] if admitted is None else [admitted])


def joined(remote: PeerId = ALICE) -> peer_events.PeerJoined:
    return peer_events.PeerJoined(remote=remote, boot=1, peers=2)


def left(remote: PeerId = ALICE) -> peer_events.PeerLeft:
    return peer_events.PeerLeft(remote=remote, cause="no answer to pings", peers=1)


def stopped(remote: PeerId = ALICE) -> peer_events.PeerStopped:
    return peer_events.PeerStopped(remote=remote, peers=1)


def test_peer_that_comes_and_goes_again_and_again_is_told_at_once_and_then_counted() -> None:
    stream = io.StringIO()
    sink, _, clock = log(stream)
    for _ in range(100):
        clock.now += 0.05
        sink.emit(joined())
        clock.now += 0.04
        sink.emit(left())
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "| met " in lines[0]
    assert "| lost " in lines[1]
    sink.emit(joined(PeerId("other")))
    assert len(stream.getvalue().splitlines()) == 3
    clock.now += REPEAT_PERIOD_S
    sink.emit(round_sealed())
    lines = stream.getvalue().splitlines()[3:]
    assert "| met " in lines[0]
    assert lines[0].endswith("(99 times)")
    assert "| lost " in lines[1]
    assert lines[1].endswith("(99 times)")


@pytest.mark.parametrize("stays", [True, False])
def test_last_word_about_a_peer_says_whether_it_is_there(*, stays: bool) -> None:
    limit = RateLimit(period_s=10)
    events = [joined(), left(), joined(), left(), joined()]
    for number, event in enumerate(events if stays else events[:-1]):
        assert (limit.admit(event, now=4.0 * number / 3) is not None) == (number < 2)
    told = [type(event) for now in (10.0, 12.0, 25.0) for event in limit.due(now=now)]
    assert told == (
        [peer_events.PeerLeft, peer_events.PeerJoined] if stays else [peer_events.PeerJoined, peer_events.PeerLeft]
    )


def test_a_loss_that_was_held_is_not_told_as_a_stop() -> None:
    limit = RateLimit(period_s=10)
    for now, event in enumerate([joined(), left(), joined(), stopped(), joined(), left(), joined(), stopped()]):
        limit.admit(event, now=float(now))
    told = [(type(event), event.count) for event in limit.rest()]
    assert told == [(peer_events.PeerLeft, 1), (peer_events.PeerJoined, 3), (peer_events.PeerStopped, 1)]


def test_refusals_that_were_held_are_told_before_the_meeting_that_was_held_too() -> None:
    limit = RateLimit(period_s=10)
    for now, event in enumerate([joined(), left(), turned_away(), turned_away(), joined()]):
        limit.admit(event, now=float(now))
    told = [type(event) for now in (10.0, 13.0, QUIET_S + 5.0) for event in limit.due(now=now)]
    assert told == [peer_events.PeerRefused, peer_events.PeerJoined]


def test_failures_that_were_held_are_told_before_the_recovery() -> None:
    stream = io.StringIO()
    sink, _, clock = log(stream)
    for _ in range(3):
        sink.emit(disk_events.StorageFailed(operation="write the journal", cause="no space left"))
    sink.emit(disk_events.StorageFailed(operation="save the model", cause="no space left"))
    sink.emit(disk_events.StorageRecovered(operation="write the journal"))
    clock.now += REPEAT_PERIOD_S
    sink.emit(round_sealed())
    told = [line.removeprefix("peer-3 | ") for line in stream.getvalue().splitlines()]
    assert told[1].startswith("error: could not save the model")
    assert told[2].endswith("training goes on (2 times)")
    assert told[3] == "could write the journal again"
    assert len(told) == 5


def test_what_is_still_held_is_told_at_the_end() -> None:
    stream = io.StringIO()
    sink, _, _ = log(stream)
    for _ in range(3):
        sink.emit(refused())
    sink.close()
    assert stream.getvalue().splitlines()[1].endswith("(2 times)")
    sink.close()
    assert stream.getvalue().count("\n") == 2


def test_different_peers_and_reasons_do_not_hide_each_other() -> None:
    stream = io.StringIO()
    sink, _, _ = log(stream)
    sink.emit(refused())
    sink.emit(refused(remote=PeerId("other")))
    sink.emit(peer_events.MessageRefused(remote=ALICE, reason="stale", detail=""))
    assert stream.getvalue().count("\n") == 3


def test_many_strangers_fill_neither_memory_nor_log() -> None:
    limit = RateLimit(period_s=10)
    told = sum(limit.admit(refused(remote=PeerId(f"p{i}")), now=0.0) is not None for i in range(10_000))
    assert told == MAX_KEYS + 1
    assert sum(event.count for event in limit.rest()) == 10_000 - told
    for i in range(MAX_KEYS):
        limit.admit(refused(remote=PeerId(f"p{i}")), now=0.0)
    assert limit.due(now=QUIET_S) == []
    assert limit.admit(refused(remote=PeerId("fresh")), now=QUIET_S) is not None


def test_no_event_is_lost_from_the_count() -> None:
    limit, told = RateLimit(period_s=3), 0
    for step in range(500):
        now = step * 0.37
        told += sum(event.count for event in limit.due(now=now))
        event = limit.admit(refused(), now=now)
        told += event.count if event else 0
    assert told + sum(event.count for event in limit.rest()) == 500


class FailingStream(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)


def test_full_disk_behind_the_log_loses_lines_until_there_is_room() -> None:
    stream = FailingStream(OSError(errno.ENOSPC, "No space left on device"))
    sink, counters, _ = log(stream)
    sink.emit(round_sealed())
    stream.error = None
    sink.emit(round_sealed())
    assert counters["log_lines_lost"] == 1
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    "error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), ValueError("I/O operation on closed file")]
)
def test_stream_that_is_gone_silences_the_log_for_good(error: Exception) -> None:
    stream = FailingStream(error)
    sink, counters, _ = log(stream)
    sink.emit(round_sealed())
    stream.error = None
    sink.emit(round_sealed())
    sink.close()
    assert counters["log_lines_lost"] == 2
    assert stream.getvalue() == ""


def test_terminal_that_is_not_utf8_gets_escapes() -> None:
    raw = io.BytesIO()
    sink, counters, _ = log(io.TextIOWrapper(raw, encoding="ascii"))
    sink.emit(refused("größer \u4e2d"))
    assert raw.getvalue().endswith(b"gr\\xf6\\xdfer \\u4e2d\n")
    assert counters.totals() == {}


PROGRAM = """
import sys
from peer.telemetry.counters import Counters
from peer.telemetry.line_writer import MAX_BACKLOG
from peer.telemetry.names import NameBook
from peer.telemetry.sink import LogSink
from tests.unit.telemetry.samples import round_sealed
counters = Counters()
sink = LogSink(sys.stdout, peer="peer-3", names=NameBook(), counters=counters)
sink.emit(round_sealed())
sys.stdin.readline()
for _ in range(2000):
    sink.emit(round_sealed())
assert counters["log_lines_lost"] == 2000, counters.totals()
"""


def test_reader_that_went_away_does_not_end_the_process() -> None:
    """As with `murmur peer | head -1`; Python's own flush at exit must not turn it into status 120 either."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"peer-3 | round 41 |"), "each line is flushed at once"
    process.stdout.close()
    process.stdin.write(b"go\n")
    process.stdin.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (0, b"")


def test_device_that_is_always_full_does_not_end_the_process() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device, not a path
        sink, counters, _ = log(full)
        for _ in range(100):
            sink.emit(round_sealed())
        assert counters["log_lines_lost"] == 100
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that closing it can flush


def test_reader_that_stopped_reading_holds_nobody_up_and_loses_only_the_oldest_lines() -> None:
    """A paused terminal: the peer goes on; when the reader comes back it gets the newest lines, whole and in order."""
    reading, writing = os.pipe()
    total = 5000
    with open(writing, "w") as stream, open(reading) as reader:  # noqa: PTH123  # descriptors, not paths
        sink, counters, _ = log(stream)
        for number in range(total):
            sink.emit(round_sealed(round=number))
        lost = counters["log_lines_lost"]
        assert 0 < total - MAX_BACKLOG - lost < 1000, "what fitted into the pipe, and no more, was written"
        seen = [reader.readline()]
        while f" round {total - 1} " not in seen[-1]:
            sink.emit(round_events.RoundStarted(round=0, base=DIGEST))  # not shown at info, but it lets held lines out
            seen.append(reader.readline())
    rounds = [int(line.split("|")[1].split()[1]) for line in seen]
    assert rounds == sorted(rounds)
    assert rounds[0] == 0
    assert len(rounds) == total - lost
    assert all(line.startswith("peer-3 | round ") and line.endswith("model 9f3ac2\n") for line in seen)
    assert counters["log_lines_lost"] == lost


def test_recording_sink_is_bounded() -> None:
    sink = RecordingSink(limit=10)
    for index in range(25):
        sink.emit(round_events.RoundStarted(round=index, base=DIGEST))
    assert len(sink.events) <= 10
    assert sink.events[-1] == round_events.RoundStarted(round=24, base=DIGEST)
