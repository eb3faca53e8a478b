"""One peer as its user meets it: signals, restarts, kill -9, a reader that goes away, clocks that jump."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.process.murmur import ENDLESS, FAST, START_S, Murmur, identity_of, models_by_round, port_of

WILD_CLOCK = '''
"""Loaded by the interpreter at its start: the wall clock leaps an hour ahead and back with every look at it."""
import datetime, itertools, time
_leaps = itertools.cycle((0.0, 3600.0, -3600.0))
_time = time.time
time.time = lambda: _time() + next(_leaps)
time.time_ns = lambda: int(time.time() * 1e9)
class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)
datetime.datetime = _Datetime
'''

STOPPED_AS_THE_LOOP_STARTS = '''
"""Loaded by the interpreter at its start: SIGTERM comes in the middle of the event loop's own start."""
import functools, os, signal, trio
class _Stop(trio.abc.Instrument):
    def before_run(self):
        signal.raise_signal(signal.SIGTERM)
trio.run = functools.partial(trio.run, instruments=[_Stop()])
'''


def test_peer_stopped_by_a_signal_goes_on_where_it_stopped(murmur: Murmur) -> None:
    first = murmur.peer("a")
    first.wait_for_round(2)
    assert first.stop(signal.SIGINT) == 0, first.output
    assert [event["cause"] for event in first.named("shutdown_started")] == ["SIGINT"]
    (saved,) = first.named("state_saved")
    (model,) = first.named("model_saved")
    assert f"round {saved['round']} of run" in evaluated(murmur, model["path"])

    second = murmur.peer("a")
    restored = second.wait_for("state_restored", within_s=START_S)
    assert (restored["round"], restored["model"]) == (saved["round"], saved["model"])
    assert second.wait_for("round_sealed")["round"] == saved["round"] + 1
    assert identity_of(second) == identity_of(first)
    assert second.named("peer_started")[0]["boot"] == first.named("peer_started")[0]["boot"] + 1
    assert not second.named("state_damaged")
    assert second.stop(signal.SIGTERM) == 0, second.output
    assert second.named("state_saved")[0]["round"] > saved["round"]


def test_closed_terminal_stops_a_peer_as_other_signals_do_unless_it_was_told_to_ignore_that(murmur: Murmur) -> None:
    first = murmur.peer("a")
    first.wait_for_round(1)
    assert first.stop(signal.SIGHUP) == 0, first.output
    (saved,) = first.named("state_saved")
    second = murmur.peer("a", inside=("nohup",))
    second.wait_for_round(saved["round"] + 1)
    second.send(signal.SIGHUP)
    second.wait_for_round(saved["round"] + 3)
    assert second.stop() == 0


def evaluated(murmur: Murmur, model: str) -> str:
    process = murmur.run("eval", model)
    assert process.wait(within_s=START_S) == 0, process.output
    return process.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_libraries_load_ends_the_peer_without_a_traceback(murmur: Murmur, number: signal.Signals) -> None:
    peer = murmur.peer("a")
    libraries = Path(f"/proc/{peer.pid}/maps")
    deadline = time.monotonic() + START_S
    while "peer/_core" not in libraries.read_text():  # our handlers are installed before the heavy imports begin
        assert time.monotonic() < deadline
        time.sleep(0.002)
    assert peer.stop(number) == 0, peer.output
    assert "Traceback" not in peer.output


def test_peer_says_that_its_first_model_takes_long_and_ends_at_once_when_told_to(murmur: Murmur) -> None:
    peer = murmur.peer("a", "model.hidden=[4096,4096]")
    told = peer.wait_for("first_model_begun", within_s=START_S)
    assert told["weights"] == 2 * (4 * 4096 + 4096 * 4096) + 4096 * (2 + 1)
    assert told["about_s"] > 60.0
    assert peer.stop() == 0, peer.output
    assert not peer.named("peer_started"), "it was drawn meanwhile"


def test_signal_while_the_event_loop_starts_ends_the_peer_as_later_ones_do(murmur: Murmur) -> None:
    (murmur.folder / "sitecustomize.py").write_text(STOPPED_AS_THE_LOOP_STARTS)
    peer = murmur.peer("a", env={"PYTHONPATH": os.pathsep.join([str(murmur.folder), *sys.path])})
    assert peer.wait(within_s=START_S) == 0, peer.output
    assert "Traceback" not in peer.output
    assert [event["cause"] for event in peer.named("shutdown_started")] == ["SIGTERM"]


def test_doctor_interrupted_in_its_event_loop_claims_no_verdict(murmur: Murmur) -> None:
    (murmur.folder / "sitecustomize.py").write_text(STOPPED_AS_THE_LOOP_STARTS)
    path = os.pathsep.join([str(murmur.folder), *sys.path])
    doctor = murmur.run("doctor", "network.listen_host=127.0.0.1", "network.port=0", env={"PYTHONPATH": path})
    assert doctor.wait(within_s=START_S) == 128 + signal.SIGTERM, doctor.output
    assert "Traceback" not in doctor.output


def test_impatient_user_who_presses_ctrl_c_again_loses_nothing(murmur: Murmur) -> None:
    peer = murmur.peer("a")
    peer.wait_for_round(1)
    for _ in range(3):
        peer.send(signal.SIGINT)
    assert peer.wait() == 0, peer.output
    assert len(peer.named("state_saved")) == 1


def test_killed_peer_is_not_waited_for_and_returns_as_itself(murmur: Murmur) -> None:
    settings = ("round.snapshot_every=3", "round.train_s=2.0")  # two rounds are time enough to dial and to catch up
    first = murmur.peer("a", *settings)
    others = [first, murmur.peer("b", *settings, meet=[first])]
    victim = murmur.peer("c", *settings, meet=others)
    for peer in (*others, victim):
        peer.wait_for("round_sealed", lambda event: event["admitted"] == 3, within_s=START_S)
    boot = victim.named("peer_started")[0]["boot"]

    victim.send(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    seen = {peer: len(peer.events) for peer in others}
    for peer in others:
        peer.wait_for("round_sealed", after=seen[peer])
        peer.wait_for("roster_changed", lambda event: identity_of(victim) in event["removed"], after=seen[peer])

    back = murmur.peer("c", *settings, meet=others)
    assert identity_of(back) == identity_of(victim)
    assert back.named("peer_started")[0]["boot"] == boot + 1
    started_at = back.wait_for("training_started", within_s=START_S)["time"]
    others[0].wait_for("round_sealed", lambda event: event["time"] > started_at)  # so that all before it has been read
    tip = max(event["round"] for event in others[0].named("round_sealed") if event["time"] <= started_at)
    again = others[0].wait_for(
        "roster_changed", lambda event: identity_of(back) in event["added"] and event["round"] > tip
    )
    # The round under way and two more; one of them may pass unnoticed where tests share two cores with compilers.
    assert again["round"] <= tip + 4, f"round {tip + 1} was under way at its start, it was let in at {again['round']}"
    together = back.wait_for("round_sealed", lambda event: event["admitted"] == 3)["round"]
    for peer in (*others, back):  # each tells of the same round in its own time
        peer.wait_for("round_final", lambda event: event["round"] >= together)

    histories = [models_by_round(peer) for peer in (*others, back)]
    common = set.intersection(*(set(history) for history in histories))
    assert common
    assert all(len({history[number] for history in histories}) == 1 for number in common)


def test_peer_whose_reader_went_away_trains_on_and_stops_cleanly(murmur: Murmur) -> None:
    reading, writing = os.pipe()
    peer = subprocess.Popen(
        [sys.executable, "-m", "peer.cli", "peer", *ENDLESS, "network.listen_host=127.0.0.1", "network.port=0"],
        cwd=murmur.folder,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        os.close(writing)
        with os.fdopen(reading) as lines:
            assert '"peer_started"' in next(lines)
        (slot,) = murmur.folder.glob("runs/slot-0/cartpole-*")
        deadline = time.monotonic() + START_S
        while not any(slot.glob("snapshots/*.bin")):  # ten rounds were sealed although nobody reads of them
            assert peer.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        peer.terminate()
        _, errors = peer.communicate(timeout=START_S)
        assert (peer.returncode, errors) == (0, "")
    finally:
        peer.kill()
        peer.wait()


def test_peer_without_a_standard_output_trains_as_others_do(murmur: Murmur) -> None:
    """A supervisor had closed it (`>&-`): the peer ended at once, with the traceback of a bug."""
    settings = (*FAST, "stop.mean_return=null", "stop.max_rounds=2", "network.listen_host=127.0.0.1", "network.port=0")
    command = [sys.executable, "-m", "peer.cli", "peer", *settings]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", *command],
        cwd=murmur.folder, stderr=subprocess.PIPE, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert list(murmur.folder.glob("runs/slot-0/cartpole-*/model.safetensors"))


def test_wall_clock_that_jumps_by_hours_changes_nothing(murmur: Murmur) -> None:
    (murmur.folder / "sitecustomize.py").write_text(WILD_CLOCK)
    path = os.pathsep.join([str(murmur.folder), *sys.path])
    wild = murmur.peer("a", env={"PYTHONPATH": path})
    calm = murmur.peer("b", meet=[wild])
    for peer in (wild, calm):
        peer.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
        seen = len(peer.events)
        first = peer.wait_for("round_sealed", after=seen)["round"]
        peer.wait_for_round(first + 5)
    sealed = [event for event in wild.named("round_sealed") if event["roster"] == 2]
    assert max(event["seal_s"] for event in sealed) < 30.0
    assert not wild.named("peer_left")
    assert not wild.named("roster_changed")[2:]
    stamps = {event["time"][:13] for event in wild.events}
    assert len(stamps) > 1, "the clock did not jump: the test shows nothing"
    assert wild.stop() == 0, wild.output


def test_lone_peer_stops_after_the_rounds_it_was_given(murmur: Murmur) -> None:
    peer = murmur.peer("a", "stop.mean_return=null", "stop.max_rounds=2", base=FAST)
    assert peer.wait(within_s=START_S) == 0, peer.output
    (finished,) = peer.named("run_finished")
    assert (finished["reason"], finished["rounds"]) == ("max_rounds", 2)
    assert port_of(peer) > 0
