"""Finding peers that hang without closing their connection: ping the silent ones, give up those that stay silent.

Done here and not by py-libp2p's monitor, which pings one connection after the other (a partition of 20 peers
takes it 40 s to see), dials replacements by itself, and hangs when the silent peer's socket buffer is full.
"""

from collections.abc import Callable, Iterable
from typing import Never

import trio
from libp2p.exceptions import BaseLibp2pError
from libp2p.network.connection.swarm_connection import SwarmConn

from peer.errors import ProtocolError
from peer.network.libp2p_ping import ping
from peer.network.libp2p_yamux import muxer_of
from peer.types import Seconds

MISSES = 2
HELD_UP_S = 0.25
"""A deadline that fires later than this says that our own event loop was not running."""


async def answers(conn: SwarmConn, *, timeout_s: Seconds) -> bool:
    """Return whether the peer answers one ping on this connection within `timeout_s`."""
    with trio.move_on_after(timeout_s):
        try:
            return await ping(muxer_of(conn))
        except (BaseLibp2pError, ProtocolError):  # of several layers: the connection is broken
            return False
    return False


async def watch_health(
    connections: Callable[[], Iterable[SwarmConn]],
    heard_at: Callable[[SwarmConn], Seconds],
    give_up: Callable[[SwarmConn], None],
    *,
    interval_s: Seconds,
    timeout_s: Seconds,
) -> Never:
    """Ping all connections that have been silent for `interval_s`, and `give_up` those that miss two pings.

    A ping is missed after `timeout_s`. In a swarm at work all are heard in every round, and none is pinged.

    Any byte of the peer's counts as an answer, and time in which this process itself was held up does not count
    as silence: on an overloaded machine every answer is late, and giving up for that would take the swarm apart.
    """

    async def check(conn: SwarmConn) -> None:
        missed = 0
        while missed < MISSES and not conn.is_closed:
            start = trio.current_time()
            if await answers(conn, timeout_s=timeout_s) or heard_at(conn) > start:
                return
            if trio.current_time() - start < timeout_s + HELD_UP_S:
                missed += 1
        if not conn.is_closed:
            give_up(conn)

    while True:
        await trio.sleep(interval_s)
        async with trio.open_nursery() as nursery:  # the next round waits for the slowest of this one
            quiet_since = trio.current_time() - interval_s
            for conn in [conn for conn in connections() if heard_at(conn) <= quiet_since]:
                nursery.start_soon(check, conn)
