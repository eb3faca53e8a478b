"""Real processes with one key: a data folder that was copied, and one that is started twice."""

import json
import shutil
import signal
import time
from collections.abc import Mapping
from typing import Any

from tests.process.murmur import START_S, Murmur, MurmurProcess, identity_of


def status_of(murmur: Murmur, name: str) -> dict[str, Any]:  # Any: the values differ from key to key
    asked = murmur.run("status", "--data-dir", str(murmur.folder / name), "--json")
    assert asked.wait(within_s=START_S) == 0, asked.output
    found: dict[str, Any] = json.loads(asked.output)[0]
    return found


def assert_takes_no_part(status: Mapping[str, Any]) -> None:
    assert "runs twice" in status["superseded"]
    assert "murmur identity new" in status["superseded"]


def last_round(process: MurmurProcess) -> int:
    return max((int(event["round"]) for event in process.named("round_sealed")), default=0)


def test_two_processes_from_a_copied_folder_are_named_on_all_sides_and_the_newer_goes_on(murmur: Murmur) -> None:
    """Peers 1 and 2, and a copy of peer 2 made while it ran: the copy counts one start more."""
    one = murmur.peer("one")
    older = murmur.peer("two", meet=[one])
    one.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    shutil.copytree(murmur.folder / "two", murmur.folder / "copy", ignore=shutil.ignore_patterns("*.sock"))
    newer = murmur.peer("copy", meet=[one])

    seen = one.wait_for("identity_runs_twice", within_s=START_S)
    assert seen["remote"] == identity_of(older) == identity_of(newer)
    assert (seen["boot"], seen["other_boot"]) == (2, 1)

    told = older.wait_for("own_identity_runs_twice", lambda event: event["source"] is not None, within_s=START_S)
    assert (told["leaves"], told["boot"], told["other_boot"]) == (True, 1, 2)
    heard = newer.wait_for("own_identity_runs_twice", lambda event: event["source"] is not None, within_s=START_S)
    assert (heard["leaves"], heard["boot"], heard["other_boot"]) == (False, 2, 1)

    assert_takes_no_part(status_of(murmur, "two"))  # while it still answers those who ask

    reached = last_round(one)
    one.wait_for("round_sealed", lambda event: event["round"] > reached + 3 and event["admitted"] == 2)
    newer.wait_for("round_sealed", lambda event: event["round"] > reached + 3)
    rounds = [int(event["round"]) for event in one.named("round_sealed")]
    assert rounds == list(range(1, len(rounds) + 1))  # none was lost or undone
    deadline = time.monotonic() + START_S
    status = status_of(murmur, "two")
    while any(other["connected"] for other in status["peers"]):
        assert time.monotonic() < deadline, older.output
        status = status_of(murmur, "two")
    assert_takes_no_part(status)
    assert older.stop(signal.SIGTERM) == newer.stop() == one.stop() == 0


def test_peer_that_was_left_out_takes_over_when_its_user_starts_it_anew(murmur: Murmur) -> None:
    """It has counted the other's starts too: whoever was started last is served."""
    one = murmur.peer("one")
    older = murmur.peer("two", meet=[one])
    one.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    shutil.copytree(murmur.folder / "two", murmur.folder / "copy", ignore=shutil.ignore_patterns("*.sock"))
    newer = murmur.peer("copy", meet=[one])
    older.wait_for("own_identity_runs_twice", lambda event: event["leaves"], within_s=START_S)
    one.wait_for("peer_joined", lambda event: event["boot"] == 2, within_s=START_S)
    assert older.stop() == 0

    again = murmur.peer("two", meet=[one])
    assert again.wait_for("peer_started", within_s=START_S)["boot"] == 3
    newer.wait_for("own_identity_runs_twice", lambda event: event["leaves"], within_s=START_S)
    one.wait_for("peer_joined", lambda event: event["boot"] == 3, within_s=START_S)
    assert again.stop() == newer.stop() == one.stop() == 0


def test_a_process_that_hangs_is_replaced_at_once_by_a_new_one_and_leaves_when_it_wakes_up(murmur: Murmur) -> None:
    """Its connection lives on, and no ping has timed out yet: the new session's card is enough."""
    one = murmur.peer("one")
    older = murmur.peer("two", meet=[one])
    one.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    shutil.copytree(murmur.folder / "two", murmur.folder / "copy", ignore=shutil.ignore_patterns("*.sock"))
    older.send(signal.SIGSTOP)
    try:
        newer = murmur.peer("copy", meet=[one])
        one.wait_for("peer_joined", lambda event: event["boot"] == 2, within_s=START_S)
        newer.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
        assert not one.named("identity_runs_twice")  # so far it is a restart
    finally:
        older.send(signal.SIGCONT)
    one.wait_for("identity_runs_twice", within_s=START_S)
    older.wait_for("own_identity_runs_twice", lambda event: event["leaves"], within_s=START_S)
    assert older.stop() == newer.stop() == one.stop() == 0


def test_two_processes_on_one_folder_are_two_peers(murmur: Murmur) -> None:
    """The lock on a slot keeps a key from running twice where processes share a disk."""
    one = murmur.peer("one")
    identity_of(one)
    two = murmur.peer("one")
    assert identity_of(two) != identity_of(one)
    assert two.stop() == one.stop() == 0
