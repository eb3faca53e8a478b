"""What holds for every test: none of them is timed, and those that start several peers do not run side by side."""

import gc
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

# Hypothesis would fail an example that takes longer than 200 ms, or inputs that are slow to make, as any may be on a
# machine with other work.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:  # in the background of a script, or under nohup; children inherit it
        signal.signal(number, usual)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave the half a million objects of thousands of tests and their modules to no garbage collection: each of all
    that there is would take 0.3 s longer."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


class OneSwarmAtATime(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Gives every test to the next free worker, but all tests with processes, first of all, to one of them.

    Several peers run in each of those, and two such tests at once would starve each other. (xdist's own groups would
    do, but pytest 9.2 does not let it mark them.)
    """

    def _split_scope(self, nodeid: str) -> str:
        return "process" if nodeid.startswith("tests/process/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> OneSwarmAtATime:
    return OneSwarmAtATime(config, log)
