"""What comes back for a request: consent to its protocol, a length of 4 bytes, and so many bytes.

It is taken in by the task that reads the connection, so that who asked is woken once, when all of it is here.
"""

from collections.abc import Callable

from libp2p.custom_types import TProtocol

from peer.errors import ProtocolError
from peer.network.libp2p_framing import HEADER_BYTES
from peer.network.libp2p_negotiation import is_refusal, proposal
from peer.network.transport import Content

OVERHEAD_BYTES = 256
"""More than comes before the bytes of a response."""


class Response:
    """Hands the parts to `take`, in order, as they come. Nothing is kept here, and nothing too large is begun.

    consented: called when the other end has agreed to the protocol, and has not said all: then it may think.
    """

    def __init__(
        self, protocol: TProtocol, *, max_bytes: int, take: Callable[[Content], object], consented: Callable[[], None]
    ) -> None:
        self._protocol = protocol
        self._consent = proposal(protocol)
        self._max_bytes = max_bytes
        self._take = take
        self._consented = consented
        self._head = b""
        self._has_consented = False
        self._head_bytes = len(self._consent) + HEADER_BYTES
        self.missing = self._head_bytes + max_bytes
        """At most, until the length is known."""

    def feed(self, data: memoryview) -> None:
        """Take the next bytes.

        Raises: ProtocolError `not_served`; `negotiation` on any other answer to the proposal; `frame_too_large` when
        more than `max_bytes` are announced, or more come than were; what `take` raises.
        """
        if len(self._head) < self._head_bytes:
            data = self._feed_head(data)
            has_consented = len(self._head) >= len(self._consent)
            if has_consented and not self._has_consented and len(data) < self.missing:
                self._consented()
            self._has_consented = has_consented
        if len(data) > self.missing:
            raise ProtocolError("frame_too_large", f"{len(data) - self.missing} bytes more than announced")
        if data:
            self.missing -= len(data)
            self._take(data)

    def _feed_head(self, data: memoryview) -> memoryview:
        """Return what is behind it."""
        had, wanted = len(self._head), self._head_bytes - len(self._head)
        self._head += data[:wanted]
        self.missing -= len(self._head) - had
        self._check_consent(self._head[: len(self._consent)])
        if len(self._head) == self._head_bytes:
            self.missing = int.from_bytes(self._head[-HEADER_BYTES:], "big")
            if self.missing > self._max_bytes:
                raise ProtocolError("frame_too_large", f"at most {self._max_bytes} bytes, announced {self.missing}")
        return data[wanted:]

    def _check_consent(self, answer: bytes) -> None:
        if self._consent.startswith(answer):
            return
        if not is_refusal(answer):
            raise ProtocolError("negotiation", f"expected {self._consent!r}, got {answer!r}")
        raise ProtocolError("not_served", self._protocol)
