"""The limits at every door of the libp2p transport: connections, streams, requests and gossip.

Strangers of one host may together do as much as one peer, and twice as much at once: until they are admitted, a hundred
that start on one machine in one moment need no more. What they are answered is limited, too: all but an allow-list is
small, and a list is long.
"""

from collections.abc import Callable

import trio

from peer.network.flood import Doorkeeper, Rate, Throttle
from peer.network.host_key import host_key
from peer.network.libp2p_settings import Libp2pSettings
from peer.types import PeerId

MAX_CONNECTS_AT_ONCE = 256

STRANGERS_ANSWERS = Rate(per_s=4e6, burst=64e6)
"""Bytes that strangers of one host are answered: the longest allow-list for 256 at once, then for 16 a second."""


class PeerLimits:
    """What each peer, and each host, may have this transport do.

    close: ends a peer's connections, with the cause; called when it is banned, or its host asks too much.
    stranger_host: where a peer that was not admitted is connected from, None for one that was.
    """

    def __init__(
        self,
        settings: Libp2pSettings,
        counters: dict[str, int],
        *,
        close: Callable[[PeerId, str], None],
        stranger_host: Callable[[PeerId], str | None] = lambda _: None,
    ) -> None:
        self._counters = counters
        self._close = close
        self._stranger_host = stranger_host
        self._ban_s = settings.ban_s
        rates = {
            "messages": settings.gossip_rate,
            "requests": settings.request_rate,
            "streams": settings.stream_rate,
            "bytes": settings.unasked_bytes_rate,
            "small pieces": settings.piece_rate,
        }
        doubled = {what: Rate(per_s=rate, burst=2 * rate) for what, rate in rates.items()}
        connects = Rate(per_s=settings.connect_rate, burst=MAX_CONNECTS_AT_ONCE)
        self._peers = Doorkeeper(doubled, ban_s=settings.ban_s)
        self._strangers = Throttle(  # those of one host together: each new identity would begin anew
            {what: Rate(per_s=rate.per_s, burst=2 * rate.burst) for what, rate in doubled.items()}
            | {"bytes of answers": STRANGERS_ANSWERS}
        )
        self._hosts = Throttle({"connections": connects})  # no bans: others may live behind the same address

    def admits_connection(self, host: str) -> bool:
        return self._counted(admitted=self._hosts.admits(host_key(host), "connections", trio.current_time()))

    def admits_stream(self, peer: PeerId) -> bool:
        return self._admits(peer, "streams")

    def admits_request(self, peer: PeerId, size: int) -> bool:
        return self._admits(peer, "requests") and self._admits(peer, "bytes", amount=size)

    def admits_answer(self, peer: PeerId, size: int) -> bool:
        """Return whether to answer `peer` at such length; those that were admitted always."""
        return self._admits_stranger(peer, "bytes of answers", size)

    def admits_message(self, peer: PeerId, size: int) -> bool:
        return self._admits(peer, "messages") and self._admits(peer, "bytes", amount=size)

    def admits_pieces(self, peer: PeerId, count: int) -> bool:
        return self._admits(peer, "small pieces", amount=count)

    def banned(self, peer: PeerId) -> str | None:
        """Return why a peer is refused now, None when it is not."""
        return self._peers.banned(peer, trio.current_time())

    def _admits(self, peer: PeerId, what: str, *, amount: float = 1.0) -> bool:
        bans = self._peers.bans
        admitted = self._counted(admitted=self._peers.admits(peer, what, trio.current_time(), amount=amount))
        if self._peers.bans > bans:
            self._counters["flooders_banned"] += 1
            self._close(peer, f"it {self.banned(peer)}; refused for {self._ban_s:g} s")
        return admitted and self._admits_stranger(peer, what, amount)

    def _admits_stranger(self, peer: PeerId, what: str, amount: float) -> bool:
        """Hang up on a stranger above what those of its host may do. Others may live there, so nobody is banned."""
        host = self._stranger_host(peer)
        if host is None:
            return True
        now = trio.current_time()
        admitted = self._counted(admitted=self._strangers.admits(host_key(host), what, now, amount=amount))
        if not admitted:
            self._close(peer, f"strangers at its host had more {what} than they may together")
        return admitted

    def _counted(self, *, admitted: bool) -> bool:
        if not admitted:
            self._counters["floods_refused"] += 1
        return admitted
