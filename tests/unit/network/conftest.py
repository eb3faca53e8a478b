"""The clock of tests on sockets in which a while has to pass."""

import pytest
from trio.testing import MockClock


@pytest.fixture
def real_time() -> MockClock:
    """Real time, as sockets need, of which a test may skip a while: what must not happen before has all of it."""
    return MockClock(rate=1.0)


@pytest.fixture
def slow_time() -> MockClock:
    """A tenth as fast as real time: what is no matter of waiting takes next to none of it, however busy the machine."""
    return MockClock(rate=0.1)
