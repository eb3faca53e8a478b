"""What every transport promises (peer/network/transport.py), asked of all of them.

The in-memory network runs in virtual time, libp2p on loopback in real time. Nothing here sleeps for a fixed time:
conditions are awaited, with deadlines that only a broken transport misses.
"""

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from tests.contract.transport.peers import Peers

KINDS = ("memory", "libp2p")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock(kind: str) -> MockClock:
    """Virtual time for the memory network, real time (rate 1) for sockets. Only tests that name it run by it."""
    return MockClock(autojump_threshold=0) if kind == "memory" else MockClock(rate=1.0)


@pytest.fixture
async def peers(kind: str, nursery: trio.Nursery) -> AsyncIterator[Peers]:
    swarm = Peers(kind, nursery)
    yield swarm
    await swarm.stop_all()
