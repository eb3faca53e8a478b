"""Opening the socket of a dial: names are resolved here, because py-libp2p fails on every `/dns4` address."""

import os
import random
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any

import trio

from peer.addresses import TcpAddress
from peer.errors import TransportError
from peer.types import Seconds

MAX_PLACES = 16
"""Of one name, in one dial. Whoever owns the name says how many there are: thousands fit into an answer."""

NEXT_PLACE_S: Seconds = 0.25
"""Before the next place of a name is tried beside those that have not answered: RFC 8305, section 5."""

_Place = tuple[int, int, int, str, Any]  # Any: a socket's address, as getaddrinfo gives it


async def open_socket(address: TcpAddress, *, lookups: trio.CapacityLimiter | None = None) -> trio.SocketStream:
    """Connect to the first place that accepts. The caller sets the deadline.

    A name may stand for many places, some of them dead, one of them ourselves: they are tried in another order each
    time, MAX_PLACES at most, and none waits long for the one before it.
    lookups: of the threads in which names are looked up. Where a resolver hangs, each goes on for as long as it likes,
    whatever became of the dial: among the common ones they would keep training and the disk waiting.
    Whatever is wrong with an address, a name or this machine ends the dial and nothing else: addresses come from
    others, and a dial is made in a task whose error would end the process.
    Raises: TransportError naming every place tried and why it failed.
    """
    places = list(await _places(address, lookups))
    random.shuffle(places)
    race = _Race()
    await race.run(places[:MAX_PLACES])
    if race.won is None:
        raise TransportError(f"cannot reach {address}: {'; '.join(race.causes) or 'no address'}")
    return race.won


async def _places(address: TcpAddress, lookups: trio.CapacityLimiter | None) -> Sequence[_Place]:
    look_up = partial(socket.getaddrinfo, address.host, address.port, family=address.family, type=socket.SOCK_STREAM)
    try:
        if not address.kind.startswith("dns"):
            return look_up(flags=socket.AI_NUMERICHOST)  # asks nobody
        return await trio.to_thread.run_sync(
            look_up,
            abandon_on_cancel=True,  # type: ignore[call-arg]  # the stubs that libp2p brings along are older
            limiter=lookups,
        )
    except OSError as error:  # also gaierror
        raise TransportError(f"cannot resolve {address.host!r}: {error.strerror or error}") from error
    except ValueError as error:  # also UnicodeError: of IDNA, which takes less than the resolver does
        raise TransportError(f"cannot resolve {address.host!r}: {error}") from error


class _Race:
    """Connects to several places, each a little later than the one before. won: the first that took the connection."""

    def __init__(self) -> None:
        self.won: trio.SocketStream | None = None
        self.causes: list[str] = []

    async def run(self, places: Sequence[_Place]) -> None:
        try:
            async with trio.open_nursery() as nursery:
                for place in places:
                    failed = trio.Event()
                    nursery.start_soon(self._try, place, failed, nursery.cancel_scope)
                    with trio.move_on_after(NEXT_PLACE_S):
                        await failed.wait()
        except BaseException:
            if self.won is not None:
                await trio.aclose_forcefully(self.won)
            raise

    async def _try(self, place: _Place, failed: trio.Event, others: trio.CancelScope) -> None:
        family, kind, protocol, _name, target = place
        try:
            stream = await _connected(family, kind, protocol, target)
        except (OSError, ValueError) as error:
            self.causes.append(f"{target[0]}: {_reason(error)}")
            failed.set()
            return
        if self.won is None:
            self.won = stream
            others.cancel()
        else:
            await trio.aclose_forcefully(stream)


async def _connected(family: int, kind: int, protocol: int, place: tuple[Any, ...]) -> trio.SocketStream:
    """Raises: OSError, also of making the socket: no descriptor is left, or the kernel has no IPv6. ValueError."""
    sock = trio.socket.socket(family, kind, protocol)
    try:
        await sock.connect(place)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()  # trio's own text repeats the address
    return str(error)
