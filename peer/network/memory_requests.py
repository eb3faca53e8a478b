"""Requests of one end of a `MemoryNetwork`: those it makes, and those it serves."""

from functools import partial
from typing import TYPE_CHECKING

from peer.errors import ProtocolError, TransportError
from peer.network.memory_replies import Reply
from peer.network.transport import MAX_MESSAGE_BYTES, RequestHandler
from peer.types import PeerId, Session

if TYPE_CHECKING:
    from peer.network.memory_end import MemoryEnd


class MemoryRequests:
    """Ask other ends, and answer them with the handlers of this one."""

    def __init__(self, end: "MemoryEnd") -> None:
        self._end = end
        self._handlers: dict[str, RequestHandler] = {}
        self._open_handlers: set[str] = set()

    def handle(self, protocol: str, handler: RequestHandler, *, strangers: bool) -> None:
        self._handlers[protocol] = handler
        (self._open_handlers.add if strangers else self._open_handlers.discard)(protocol)

    async def request(self, peer: PeerId, protocol: str, data: bytes, *, session: Session | None) -> bytes:
        link = self._end.links.link_to(peer, session=session)
        server = link.other_end(self._end)
        reply = Reply(peer, link)
        with self._end.exchanges.open(reply, partial(server.requests.receive, protocol, data, reply), len(data)):
            return await reply.wait()

    def receive(self, protocol: str, data: bytes, reply: Reply) -> None:
        """Start serving: runs when the request has crossed the link."""
        if self._end.exchanges.arrives(reply, len(data)):
            self._end.start_soon(partial(self._serve, protocol, data, reply))

    async def _serve(self, protocol: str, data: bytes, reply: Reply) -> None:
        requester = reply.link.other_end(self._end)
        self._end.exchanges.answer(reply, await self._answer(requester.peer, protocol, data))

    async def _answer(self, peer: PeerId, protocol: str, data: bytes) -> bytes | TransportError:
        me, counters = self._end.peer, self._end.counters
        handler = self._handlers.get(protocol)
        if handler is None:
            return TransportError(f"{me} does not serve {protocol}")
        try:
            if protocol not in self._open_handlers:
                await self._end.gate.wait_for(peer)
            answer = await handler(peer, data)
        except ProtocolError:
            counters["protocol_errors"] += 1
            return TransportError(f"{me} refused the {protocol} request")
        except Exception:  # a service's handler must not end the network; the contract says it is counted
            counters["handler_errors"] += 1
            return TransportError(f"{me} failed to answer the {protocol} request")
        if len(answer) > MAX_MESSAGE_BYTES:
            counters["handler_errors"] += 1
            return TransportError(f"{me} answered {protocol} above {MAX_MESSAGE_BYTES} bytes")
        return bytes(answer)
