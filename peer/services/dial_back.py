"""Dialling askers back, so that they learn whether others can reach them."""

from collections.abc import Callable, Collection

import trio

from peer.addresses import with_peer
from peer.errors import ProtocolError, TransportError
from peer.network.dial_back import may_dial_back
from peer.network.transport import Origin, Transport
from peer.peer_ids import short
from peer.types import PeerId, Seconds
from peer.wire.envelope import open_as
from peer.wire.messages import PeerCard
from peer.wire.sync import DialBackRequest, DialBackResponse, decode, encode

DIAL_S: Seconds = 4.0
"""For all addresses of one asker together; what fails is answered only then, so that the time says nothing."""

_PER_ASKER_S: Seconds = 20.0
_MAX_AT_ONCE = 2
_REMEMBERED = 1024


class DialBackDesk:
    """Dials askers back. One dial an asker in 20 s, two askers at a time, only where `may_dial_back` says so."""

    def __init__(self, transport: Transport, *, run: bytes, admitted: Callable[[], Collection[PeerId]]) -> None:
        self._transport = transport
        self._run = run
        self._admitted = admitted
        self._asked_at: dict[PeerId, Seconds] = {}
        self._busy = 0

    async def answer(self, peer: PeerId, data: bytes) -> bytes:
        """The handler of `DIAL_BACK_PROTOCOL`."""
        signed = open_as(decode(data, DialBackRequest).card, PeerCard, run=self._run)
        if signed.peer != peer:
            raise ProtocolError("identity", f"{short(peer)} asks to dial the addresses of {short(signed.peer)}")
        await trio.lowlevel.checkpoint()
        remote = self._transport.remote_host(peer)
        allowed = [each for each in signed.message.addresses if may_dial_back(each, remote_host=remote)]
        if not allowed or not self._has_time_for(peer):
            return encode(DialBackResponse((), ()))
        self._busy += 1
        try:
            reached = await self._dial_all(peer, allowed)
        finally:
            self._busy -= 1
        return encode(DialBackResponse(tuple(allowed), reached))

    def _has_time_for(self, peer: PeerId) -> bool:
        now = trio.current_time()
        self._asked_at = {other: at for other, at in self._asked_at.items() if now - at < _PER_ASKER_S}
        if peer not in self._admitted() or peer in self._asked_at or self._busy >= _MAX_AT_ONCE:
            return False
        if len(self._asked_at) >= _REMEMBERED:
            return False
        self._asked_at[peer] = now
        return True

    async def _dial_all(self, peer: PeerId, addresses: Collection[str]) -> tuple[str, ...]:
        """Return where `peer` proved to be. Takes DIAL_S unless it was found everywhere."""
        reached: list[str] = []

        async def dial(address: str) -> None:
            try:
                await self._transport.connect(with_peer(address, peer), origin=Origin.ASKED)
            except TransportError:
                return
            reached.append(address)

        with trio.move_on_after(DIAL_S):
            async with trio.open_nursery() as nursery:
                for address in addresses:
                    nursery.start_soon(dial, address)
            if len(reached) < len(addresses):
                await trio.sleep_forever()
        return tuple(address for address in addresses if address in reached)
