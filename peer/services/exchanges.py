"""Asking neighbours what they hold that we lack: the request of anti-entropy, and how it goes with all of them."""

from collections.abc import Callable, Collection

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Transport
from peer.services.patience import Patience
from peer.telemetry.counters import Counters
from peer.types import PeerId, Seconds
from peer.wire.sync import SYNC_PROTOCOL, SyncRequest, SyncResponse, decode, encode


class ExchangeRecord:
    """How exchanges go: failures since the last success, and the last cause."""

    def __init__(self) -> None:
        self.failures = 0
        self.cause = ""

    def failed(self, cause: str) -> None:
        self.failures += 1
        self.cause = cause

    def succeeded(self) -> None:
        self.failures = 0


class Exchanges:
    """Asks one neighbour at a time, or several, but each one question at a time.

    On a machine that is short of CPU time answers take seconds, and questions that do not wait for them take the time
    that the answers need, until every one of them is late.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        counters: Counters,
        least_s: Seconds,
        refuse: Callable[[PeerId, ProtocolError], None],
    ) -> None:
        """least_s: how long to wait for whoever answers in time. refuse: told who sent what must not be sent."""
        self._transport = transport
        self._counters = counters
        self._patience = Patience(least_s=least_s)
        self._refuse = refuse
        self._asking: set[PeerId] = set()
        self.record = ExchangeRecord()

    def keep(self, peers: Collection[PeerId]) -> None:
        """Forget how long others take to answer."""
        self._patience.keep(peers)

    def is_under_way(self, peer: PeerId) -> bool:
        """Return whether `peer` has a question of ours to answer."""
        return peer in self._asking

    async def ask(self, peer: PeerId, asked: SyncRequest) -> SyncResponse | None:
        """Return the answer of `peer`, to whom none is under way. Failing is normal: the next exchange follows."""
        self._asking.add(peer)
        start, wait_s = trio.current_time(), self._patience.of(peer)
        try:
            with trio.fail_after(wait_s):
                answer = decode(await self._transport.request(peer, SYNC_PROTOCOL, encode(asked)), SyncResponse)
        except TransportError as error:
            self._failed(str(error))
            return None
        except trio.TooSlowError:
            self._patience.late(peer)
            self._failed(f"no answer within {wait_s:g} s")
            return None
        except ProtocolError as error:
            self._refuse(peer, error)
            return None
        finally:
            self._asking.discard(peer)
        self._patience.answered(peer, trio.current_time() - start)
        self.record.succeeded()
        return answer

    def _failed(self, cause: str) -> None:
        self._counters.add("exchanges_failed")
        self.record.failed(cause)
