import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.federating.measure import longest_pause, part_held_by_all
from benchmarks.federating.member import Member

_CHATTY = """
import json, subprocess, sys, time
subprocess.Popen(["sleep", "1000"])
print("starting")
for number, model in enumerate(sys.argv[1:]):
    print(json.dumps({"event": "round_final", "round": number, "model": model}), flush=True)
    print(json.dumps({"event": "round_sealed", "round": number, "model": "of another event"}), flush=True)
print(json.dumps({"address": "here"}), flush=True)
time.sleep(1000)
"""


def _member(stack: ExitStack, folder: Path, *models: str) -> Member:
    command = [sys.executable, "-u", "-c", _CHATTY, *models]
    return stack.enter_context(Member("chatty", command, folder=folder, variables={}))


def _wait_for_address(member: Member) -> None:
    until = time.monotonic() + 30.0
    while not member.address:
        assert time.monotonic() < until, member.tail
        time.sleep(0.01)


def test_a_member_tells_the_models_that_it_has_had(tmp_path: Path) -> None:
    with ExitStack() as stack:
        member = _member(stack, tmp_path, "a", "b")
        _wait_for_address(member)
        assert [model.model for model in member.models] == ["a", "b"]
        assert list(member.tail) == ["starting"]
        assert not member.has_ended


def test_a_killed_member_takes_its_children_with_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        member = _member(stack, tmp_path, "a")
        _wait_for_address(member)
        assert member.cpu_s() > 0.0
        member.kill()
        assert member.has_ended
        until = time.monotonic() + 10.0
        while member.cpu_s() > 0.0:  # a killed child may be seen for a moment
            assert time.monotonic() < until
            time.sleep(0.01)


def test_only_models_that_all_held_count_as_equal(tmp_path: Path) -> None:
    with ExitStack() as stack:
        members = [_member(stack, tmp_path, "a", "b", "c"), _member(stack, tmp_path, "a", "x", "c")]
        for member in members:
            _wait_for_address(member)
        assert part_held_by_all(["a", "b"], members) == 0.5


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([[1.0, 9.0, 11.5, 19.0]], 7.5),
        ([[1.0, 9.0, 12.0, 16.0]], 4.0),
        ([[4.0, 15.5, 16.0]], 11.5),  # it had been waiting since long before
        ([[9.0, 11.0, 19.0], [9.5, 19.5]], 10.0),
        ([[9.0, 11.0, 19.0], [9.5, 12.0]], None),  # one never went on
        ([[9.0, 11.0, 19.0], [9.5]], None),
        ([[9.0, 11.0, 25.0]], None),  # what came later was not seen
    ],
)
def test_the_longest_pause_is_that_of_the_worst_member(times: list[list[float]], expected: float | None) -> None:
    assert longest_pause(times, begun=10.0, ended=20.0) == expected
