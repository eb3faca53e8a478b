"""The short part of `make fuzz-network`: some thousand malformed frames, on every surface of a peer that trains."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from peer.config.load import load_config
from peer.round_parts import wire_run_id
from peer.services.status_socket import read_status
from tests.fuzz.barrage import Barrage, plan
from tests.process.murmur import ROOT, START_S, Murmur, MurmurProcess, port_of

FRAMES = 5000


def descriptors(process: MurmurProcess) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def test_peer_under_malformed_frames_on_every_surface_counts_them_and_seals_on(murmur: Murmur) -> None:
    victim = murmur.peer("victim")
    other = murmur.peer("other", meet=[victim])
    victim.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    before = descriptors(victim)
    barrage = Barrage(port_of(victim), run=wire_run_id(load_config([], {}, [])), seed=1, frames=FRAMES)
    trio.run(barrage.send_all)
    assert barrage.tally.sent == plan(FRAMES)
    counters = read_status(Path(victim.named("peer_started")[0]["data_dir"]).parent, timeout_s=START_S).counters
    assert counters["network_frames_refused"] > 0
    assert counters["network_protocol_errors"] > 0
    assert counters["network_handler_errors"] == 0, "a handler raised what is no refusal"
    seen = len(victim.events)
    victim.wait_for("round_sealed", lambda event: event["admitted"] == 2, after=seen)
    deadline = time.monotonic() + START_S
    while descriptors(victim) > before:
        assert time.monotonic() < deadline, f"{descriptors(victim)} descriptors, {before} before"
        time.sleep(0.1)
    assert "Traceback" not in victim.output + other.output
    assert victim.stop() == other.stop() == 0


def cmdline(pid: str) -> bytes:
    """Return the arguments of a process; none of one that has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.parametrize("started", [1, 2, 3])
def test_fuzzer_that_is_told_to_stop_takes_its_peers_along(started: int) -> None:
    """It is told in the very moment that it starts one of them."""

    def peers() -> list[int]:
        pids = Path(f"/proc/{fuzzer.pid}/task/{fuzzer.pid}/children").read_text().split()
        return [int(pid) for pid in pids if b"\0peer\0" in cmdline(pid)]

    with subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.fuzz_network"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as fuzzer:
        deadline = time.monotonic() + START_S
        while len(pids := peers()) < started:
            assert time.monotonic() < deadline, f"peers: {pids}"
        fuzzer.send_signal(signal.SIGTERM)
        said, _ = fuzzer.communicate(timeout=START_S)
    assert fuzzer.returncode == 128 + signal.SIGINT
    assert "nothing is judged" in said
    assert "Traceback" not in said
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
