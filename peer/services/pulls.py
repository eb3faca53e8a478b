"""Pulls of blobs, each from whoever can be reached and has it: a holder, another neighbour, or one that fetches it."""

import random
from collections.abc import Callable, Collection, Sequence

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Transport
from peer.services.blobs import pull_blob
from peer.services.pull_turns import PullTurn, PullTurns
from peer.telemetry.counters import Counters
from peer.types import Digest, PeerId, Seconds
from peer.wire.limits import MAX_RELAYED_BYTES
from peer.wire.sync import RELAY_PROTOCOL, RelayRequest, RelayResponse, decode, encode

_MAX_SEARCHES = 4
"""For relays, at a time."""
_MAX_RELAYS_ASKED = 3
_RELAY_REQUESTS = 4
"""A relay may take as long as so many requests: it has to pull what we are waiting for."""


class Pulls:
    """Those under way take turns. request_s: deadline of one request. refuse: told who sent what must not be sent."""

    def __init__(
        self,
        transport: Transport,
        *,
        counters: Counters,
        rng: random.Random,
        request_s: Seconds,
        refuse: Callable[[PeerId, ProtocolError], None],
    ) -> None:
        self._transport = transport
        self._counters = counters
        self._rng = rng
        self._request_s = request_s
        self._refuse = refuse
        self._turns = PullTurns()
        self._searches = trio.CapacityLimiter(_MAX_SEARCHES)
        self._reachable: frozenset[PeerId] = frozenset()

    def reachable(self, peers: frozenset[PeerId]) -> None:
        """Say who can be asked."""
        self._reachable = peers

    async def pull(self, blob: Digest, size: int, holders: Sequence[PeerId]) -> bytes | None:
        """Ask `holders` first, then everybody else: equal bytes have equal names on every peer.

        When no neighbour has it, each is asked to fetch it from its own: the holder may be behind a NAT, as we may.
        """
        async with self._turns.take() as turn:
            data = await self._pull_directly(blob, size, holders, turn)
        if data is not None or self._reachable.issuperset(holders):
            return data
        async with self._searches:  # which can take a minute
            relay = await self._find_relay(blob, size)
        if relay is None:
            return None
        async with self._turns.take() as turn:
            return await self._pull_from([relay], blob, size, turn)

    async def fetch_for(self, blob: Digest, size: int, asker: PeerId) -> bytes | None:
        """Pull a blob from direct neighbours on behalf of one of them, who lacks it.

        size: the asker's word: where it is wrong, whoever serves the blob as it is serves something else. So no holder
        is blamed for it.
        """
        holders = self._shuffled(self._reachable - {asker})
        return await self._pull_from(holders, blob, size, None, refuse=lambda _holder, _error: None)

    async def _pull_directly(self, blob: Digest, size: int, holders: Sequence[PeerId], turn: PullTurn) -> bytes | None:
        likely = [peer for peer in dict.fromkeys(holders) if peer in self._reachable]
        others = self._shuffled(self._reachable.difference(likely))
        return await self._pull_from(likely + others, blob, size, turn)

    async def _pull_from(
        self,
        holders: Sequence[PeerId],
        blob: Digest,
        size: int,
        turn: PullTurn | None,
        *,
        refuse: Callable[[PeerId, ProtocolError], None] | None = None,
    ) -> bytes | None:
        return await pull_blob(
            self._transport,
            blob,
            size=size,
            holders=holders,
            request_s=self._request_s,
            refuse=refuse or self._refuse,
            turn=turn,
        )

    async def _find_relay(self, blob: Digest, size: int) -> PeerId | None:
        """Return a neighbour that has fetched the blob for us, None when none would or could."""
        if size > MAX_RELAYED_BYTES:
            return None
        request = encode(RelayRequest(blob, size))
        for peer in self._shuffled(self._reachable, most=_MAX_RELAYS_ASKED):
            try:
                with trio.fail_after(_RELAY_REQUESTS * self._request_s):
                    answer = decode(await self._transport.request(peer, RELAY_PROTOCOL, request), RelayResponse)
            except (TransportError, trio.TooSlowError):
                continue
            except ProtocolError as error:
                self._refuse(peer, error)
                continue
            if answer.held:
                self._counters.add("relays_used")
                return peer
        return None

    def _shuffled(self, peers: Collection[PeerId], *, most: int | None = None) -> list[PeerId]:
        """Return all of them, or `most` at random, in random order."""
        count = len(peers) if most is None else min(len(peers), most)
        return self._rng.sample(sorted(peers), count)
