"""`murmur up`: the demo from start to finish, and how it stops."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.process.murmur import ENDLESS, FAST, ROUND_S, START_S, Event, Murmur, MurmurProcess, identity_of


def _of(events: list[Event], peer: str, name: str) -> list[Event]:
    return [event for event in events if event["peer"] == peer and event["event"] == name]


def test_up_solves_cartpole_with_one_model_everywhere_and_says_so_the_second_time(murmur: Murmur) -> None:
    arguments = ("up", "--peers", "3", "log.format=json", "round.train_s=1.0")
    first = murmur.run(*arguments)
    assert first.wait(within_s=2 * START_S) == 0, first.output

    finished = first.named("run_finished")
    assert len({event["peer"] for event in finished}) == 3
    assert {event["reason"] for event in finished} == {"solved"}
    assert len({event["model"] for event in finished}) == 1
    assert len({(murmur.folder / event["model_path"]).read_bytes() for event in finished}) == 1
    assert all(event["mean_return"] >= 475 and event["bytes_sent"] > 0 for event in finished)
    _assert_no_round_differs(first)

    for event in finished:
        _assert_evaluates_to(murmur.folder / event["model_path"], at_least=475.0)

    second = murmur.run(*arguments)
    assert second.wait(within_s=START_S) == 0, second.output
    again = second.named("run_already_finished")
    assert len(again) == 3
    assert {event["peer"] for event in again} == {"peer-1", "peer-2", "peer-3"}
    assert all(event["reason"] == "solved" and event["model"] == finished[0]["model"] for event in again)
    assert not second.named("round_sealed")


def _assert_no_round_differs(swarm: MurmurProcess) -> None:
    models: dict[int, set[str]] = {}
    for event in swarm.named("round_final"):
        models.setdefault(event["round"], set()).add(event["model"])
    assert models
    assert all(len(hashes) == 1 for hashes in models.values()), models


def _assert_evaluates_to(model: Path, *, at_least: float) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "peer.cli", "eval", str(model)],
        capture_output=True,
        text=True,
        check=True,
        timeout=START_S,
    )
    found = re.fullmatch(r"CartPole-v1: mean return ([\d.]+) over 20 greedy episodes \(.*\)\n", done.stdout)
    assert found, done.stdout
    assert float(found[1]) >= at_least


def test_up_stopped_by_a_signal_saves_and_goes_on_from_there(murmur: Murmur) -> None:
    arguments = ("up", "--peers", "2", *ENDLESS)
    first = murmur.run(*arguments)
    first.wait_for("round_sealed", lambda event: event["admitted"] == 2 and event["round"] >= 2, within_s=START_S)
    assert first.stop(signal.SIGINT) == 0, first.output
    saved = {event["peer"]: event for event in first.named("state_saved")}
    assert set(saved) == {"peer-1", "peer-2"}
    assert {event["cause"] for event in first.named("shutdown_started")} == {"SIGTERM"}  # passed on as such

    second = murmur.run(*arguments)
    for peer, event in saved.items():
        restored = second.wait_for("state_restored", lambda each, peer=peer: each["peer"] == peer, within_s=START_S)  # type: ignore[misc]  # bound per loop
        assert (restored["round"], restored["model"]) == (event["round"], event["model"])
    second.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    assert second.stop(signal.SIGTERM) == 0, second.output
    for peer in saved:
        (before,), (after,) = (_of(run.events, peer, "peer_started") for run in (first, second))
        assert (after["peer_id"], after["boot"]) == (before["peer_id"], before["boot"] + 1)


def test_up_killed_takes_its_peers_along(murmur: Murmur) -> None:
    swarm = murmur.run("up", "--peers", "2", *ENDLESS)
    swarm.wait_for("round_sealed", within_s=START_S)
    children = [
        int(child)
        for task in Path(f"/proc/{swarm.pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    assert len(children) == 2
    swarm.send(signal.SIGKILL)
    deadline = time.monotonic() + START_S
    while any(_is_running(child) for child in children):
        assert time.monotonic() < deadline, "peers train on after their murmur up was killed"
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _line_with(swarm: MurmurProcess, words: str) -> str:
    """Return the one line that holds the words: it is another process's than those of the peers, and may come later."""
    deadline = time.monotonic() + ROUND_S
    while not (found := [line for line in swarm.lines if words in line]):
        assert time.monotonic() < deadline, swarm.output
        time.sleep(0.05)
    (line,) = found
    return line


def test_up_tells_at_once_which_peer_was_killed_and_the_others_go_on(murmur: Murmur) -> None:
    swarm = murmur.run("up", "--peers", "2", *ENDLESS)
    swarm.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    children = (Path(f"/proc/{swarm.pid}/task/{swarm.pid}/children")).read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    rounds = len(swarm.events)
    swarm.wait_for("round_sealed", lambda event: event["roster"] == 1, after=rounds)
    told = _line_with(swarm, "ended with signal SIGKILL")
    survivor = swarm.named("round_sealed")[-1]["peer"]
    killed = "peer-2" if survivor == "peer-1" else "peer-1"
    start = f"murmur: {killed} ended with signal SIGKILL; to start it again: murmur "
    assert told.startswith(start)

    again = murmur.run(*shlex.split(told.removeprefix(start)))
    rounds = len(swarm.events)
    swarm.wait_for("round_sealed", lambda event: event["roster"] == 2, after=rounds, within_s=START_S)
    assert identity_of(again) == _of(swarm.events, killed, "peer_started")[0]["peer_id"]
    assert again.stop() == 0, again.output
    assert swarm.stop() == 0, swarm.output  # killed by hand: no failure


def test_up_ends_when_nobody_reads_its_output(murmur: Murmur) -> None:
    shell = f"{sys.executable} -m peer.cli up --peers 2 stop.mean_return=null storage.data_dir={murmur.folder}/d"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell} | head -n 1"],
        cwd=murmur.folder,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("murmur | starting 2 peers on 127.0.0.1")
    assert "Traceback" not in done.stderr


def test_up_goes_on_when_the_disk_of_its_log_is_full(murmur: Murmur) -> None:
    shell = shlex.join(
        [sys.executable, "-m", "peer.cli", "up", "-n", "1", *FAST, "log.format=text", "stop.max_rounds=2"]
    )
    done = subprocess.run(
        ["bash", "-c", f"{shell} > /dev/full"],
        cwd=murmur.folder,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(murmur.folder.glob("runs/slot-0/*/model.safetensors"))


def test_up_tells_a_mistake_once_and_starts_nothing(murmur: Murmur) -> None:
    swarm = murmur.run("up", "--peers", "3", "env.nam=x")
    assert swarm.wait(within_s=START_S) == 2
    assert swarm.lines == ["murmur: command line 'env.nam=x': env.nam: unknown key; did you mean env.name?"]
    assert not (murmur.folder / "runs").exists()


def test_up_names_the_peer_that_could_not_start_and_says_why(murmur: Murmur) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        swarm = murmur.run("up", "-n", "1", "--base-port", str(port))
        assert swarm.wait(within_s=START_S) == 2, swarm.output
    why = f"cannot listen on /ip4/127.0.0.1/tcp/{port}: another process uses this port"
    assert any(line.startswith(f"peer-1 | error: {why}") for line in swarm.lines), swarm.output
    assert "murmur | peer-1 ended with exit code 2: it could not start" in swarm.lines
    assert swarm.lines[-1] == "murmur | 0 of 1 peer ended well"


def test_up_prints_only_objects_when_the_log_is_json(murmur: Murmur) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "peer.cli", "up", "-n", "1", *FAST, "stop.max_rounds=1"],
        cwd=murmur.folder,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=True,
    )
    assert {json.loads(line)["peer"] for line in done.stdout.splitlines()} == {"peer-1"}
    assert "murmur: the peer ended well" in done.stderr
