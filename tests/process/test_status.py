"""`murmur status` on real peers: who runs, what they agree on, and one that has stopped answering."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.process.murmur import START_S, Murmur


def ask(cwd: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "peer.cli", "status", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=START_S, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_status_tells_of_a_swarm_and_of_one_that_hangs(murmur: Murmur, tmp_path: Path) -> None:
    first = murmur.peer("a", "network.peer_name=gpu-7")
    second = murmur.peer("b", meet=[first])
    second.wait_for("round_sealed", lambda event: event["admitted"] == 2)
    folder = Path(first.named("peer_started")[0]["data_dir"]).parent.parent

    code, text = ask(tmp_path, "--data-dir", str(folder), "--json")
    assert code == 0, text
    (slot,) = json.loads(text)
    by_name: dict[bool, dict[str, Any]] = {peer["me"]: peer for peer in slot["peers"]}
    assert slot["peer_id"] == by_name[True]["peer_id"] == first.named("peer_started")[0]["peer_id"]
    assert by_name[False]["peer_id"] == second.named("peer_started")[0]["peer_id"]
    assert by_name[False]["connected"]
    assert slot["name"] == first.named("peer_started")[0]["peer"] == "gpu-7"
    assert {event["remote_name"] for event in second.named("peer_joined")} == {"gpu-7"}
    assert slot["round"] >= 1
    assert 0.0 <= slot["open_s"] < START_S
    assert slot["admission"] == {"swarm_key": None, "list_version": None, "listed": 0, "named": True}

    os.kill(first.pid, signal.SIGSTOP)
    try:
        code, text = ask(tmp_path, "--data-dir", str(folder))
    finally:
        os.kill(first.pid, signal.SIGCONT)
    assert code == 1
    assert "does not answer" in text
    assert "sign of life" in text

    assert first.stop(signal.SIGTERM) == 0
    assert ask(tmp_path, "--data-dir", str(folder)) == (1, "no peer runs in slot-0\n")


def test_status_of_a_folder_without_peers_says_what_to_name(tmp_path: Path) -> None:
    code, text = ask(tmp_path, "--data-dir", "nowhere")
    assert code == 2
    assert "nowhere" in text
    assert "--data-dir" in text
