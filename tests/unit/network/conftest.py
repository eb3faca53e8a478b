"""The clock of tests on sockets in which a while has to pass."""

import pytest
from trio.testing import MockClock


@pytest.fixture
def real_time() -> MockClock:
    """Real time, as sockets need, of which a test may skip a while: what must not happen before has all of it."""
    return MockClock(rate=1.0)
