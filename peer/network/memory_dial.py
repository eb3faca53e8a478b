"""Dial an address of a `MemoryNetwork`."""

import trio

from peer.addresses import split_peer
from peer.errors import IdentityInUseError, SelfDialError, TransportError
from peer.network.memory_end import MemoryEnd
from peer.types import PeerId


async def dial(end: MemoryEnd, address: str) -> PeerId:
    """Connect `end` with whoever listens at `address` ("/memory/<name>", with or without "/p2p/<id>"); return who.

    Raises: TransportError with the cause, of the kinds that `Transport.connect` tells.
    """
    end.require_alive()
    network = end.network
    place, wanted = split_peer(address)
    if not place.startswith("/memory/"):
        raise TransportError(f"cannot dial {address}: expected /memory/<name>")
    if place == end.address:
        raise SelfDialError(f"dialled ourselves at {place}")
    target = network.listener(place)
    if target is not None and not network.is_whole(end.peer, target.peer):
        await trio.sleep(network.dial_timeout_s)
        raise TransportError(f"dial of {place} timed out")
    there = target.peer if target is not None else PeerId(place)
    await trio.sleep(network.direction(end.peer, there).delay(0) * 2)
    target = network.listener(place)
    if target is None or not target.alive:
        raise TransportError(f"connection to {place} refused")
    if wanted and wanted != target.peer:
        raise TransportError(f"identity differs at {place}: expected {wanted}, got {target.peer}")
    if target.peer == end.peer:
        raise IdentityInUseError(f"another process answers at {place} with our own identity")
    end.require_alive()
    end.links.join(target)
    return target.peer
