"""What is free goes back to the system although it lies between what is in use, or is garbage that holds itself."""

import ctypes
import gc
import linecache
import traceback
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trio
from libp2p.network.connection.swarm_connection import SwarmConn
from trio.testing import MockClock

from peer.network.libp2p_transport import Libp2pTransport
from peer.services.free_memory import return_free_memory
from tests.unit.network.loopback import PATIENCE_S, open_peer, until

_PIECE = 64 * 1024
_MIB = 1 << 20
_WARM_UP, _VISITS = 3, 10
_LEFT_BY_ONE = 40
"""Objects that a peer keeps of one that is gone: entries of bounded tables (some 20)."""


def resident_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@pytest.fixture
def clock() -> MockClock:
    """Real time, of which a test may skip a while."""
    return MockClock(rate=1.0)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """The interpreter collects nothing by itself; when it would depends on all that was allocated before."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can return such pages")
def test_holes_between_what_stays_are_returned() -> None:
    pieces = [np.ones(_PIECE, np.uint8) for _ in range(640)]
    kept = pieces[::10]
    full = resident_bytes()
    del pieces
    return_free_memory()
    assert resident_bytes() < full - 25 * _MIB, "36 MiB are free, in holes of nine pieces"
    assert all(piece.sum() == _PIECE for piece in kept)


def test_no_source_file_of_a_traceback_stays() -> None:
    try:
        raise ValueError
    except ValueError as error:
        told = "".join(traceback.format_exception(error))
    assert "raise ValueError" in told
    assert __file__ in linecache.cache
    return_free_memory()
    assert __file__ not in linecache.cache


@pytest.mark.usefixtures("no_collection")
async def test_newcomers_that_are_gone_leave_little_behind(clock: MockClock) -> None:
    elsewhere = connections()  # whatever other tests in this process hold on to, such as an error with its frames
    async with open_peer(1) as host:
        for number in range(_WARM_UP):
            await visit(host, 100 + number)
        await until(lambda: holds_only(elsewhere))
        await forget_deadlines(clock)
        before = len(gc.get_objects())
        for number in range(_VISITS):
            await visit(host, 200 + number)
        await until(lambda: holds_only(elsewhere))  # the last one takes a moment to close
        await forget_deadlines(clock)
        assert len(gc.get_objects()) - before <= _LEFT_BY_ONE * _VISITS


async def forget_deadlines(clock: MockClock) -> None:
    """Wait for all that are set and of no matter any more: trio keeps them until they are over, or a thousand."""
    clock.jump(2 * PATIENCE_S)
    await trio.sleep(0.01)


async def visit(host: Libp2pTransport, number: int) -> None:
    async with open_peer(number) as visitor:
        await visitor.connect(host.listen_addresses[0])
        await until(lambda: bool(host.connected_peers()))
    await until(lambda: not host.connected_peers())


def holds_only(elsewhere: list[SwarmConn]) -> bool:
    return_free_memory()
    return all(any(conn is other for other in elsewhere) for conn in connections())


def connections() -> list[SwarmConn]:
    return [each for each in gc.get_objects() if isinstance(each, SwarmConn)]
