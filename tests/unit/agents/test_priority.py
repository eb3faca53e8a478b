"""Priorities of threads, read back from the kernel."""

import os
import sys
import threading

import pytest

from peer.agents.priority import give_way, made_giving_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux only")


def own_nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def in_thread(work: object) -> int:
    nice: list[int] = []

    def run() -> None:
        work()  # type: ignore[operator]  # a function of the test
        nice.append(own_nice())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return nice[0]


def test_one_thread_gives_way_and_the_others_do_not() -> None:
    before = own_nice()
    assert in_thread(lambda: give_way(before + 3)) == before + 3
    assert own_nice() == before


def test_priority_is_never_raised() -> None:
    before = own_nice()

    def twice() -> None:
        give_way(before + 5)
        give_way(before + 2)

    assert in_thread(twice) == before + 5


def test_threads_that_are_started_meanwhile_give_way_for_good() -> None:
    before = own_nice()
    go, nice = threading.Event(), []

    def work() -> None:
        go.wait()
        nice.append(own_nice())

    def make() -> threading.Thread:
        thread = threading.Thread(target=work)
        thread.start()
        return thread

    thread = made_giving_way(before + 4, make)
    go.set()
    thread.join()
    assert nice == [before + 4]
    assert own_nice() == before


def test_what_is_raised_while_making_reaches_the_caller() -> None:
    def fail() -> None:
        raise ValueError("no such env")

    with pytest.raises(ValueError, match="no such env"):
        made_giving_way(1, fail)
