"""Agreeing on the protocol of a stream (multistream-select 1.0) without waiting for each other.

py-libp2p 0.8.1 asks, waits, asks again, waits, and then sends its request: three ways there and back, with each byte of
the answers read by itself. Who knows what it wants sends greeting, protocol and request at once, and reads the two
answers before the response. What is on the wire is the same, so that either end may be another implementation.
"""

from collections.abc import Mapping
from typing import TypeVar

from libp2p.custom_types import TProtocol

from peer.errors import ProtocolError
from peer.network.libp2p_framing import read_exactly
from peer.network.libp2p_yamux_stream import YamuxStream

_H = TypeVar("_H")

MAX_LINE_BYTES = 127
"""Longer ones would need a second byte for their length."""

MAX_PROPOSALS = 8


def _line(text: str) -> bytes:
    data = text.encode("ascii") + b"\n"
    if len(data) > MAX_LINE_BYTES:
        raise ValueError(f"a protocol has at most {MAX_LINE_BYTES - 1} characters, got {text!r}")
    return bytes((len(data),)) + data


_GREETING = _line("/multistream/1.0.0")
_REFUSAL = _line("na")


def proposal(protocol: TProtocol) -> bytes:
    """Return what to send before the first bytes of `protocol`; who consents to it sends the same."""
    return _GREETING + _line(protocol)


def is_refusal(answer: bytes) -> bool:
    """Return whether a peer that does not serve what was proposed may answer so, or begin to."""
    return (_GREETING + _REFUSAL).startswith(answer)


async def read_consent(stream: YamuxStream, protocol: TProtocol) -> None:
    """Read the answers to `proposal`. Raises: ProtocolError `not_served`, or `negotiation` on anything else."""
    for expected in (_GREETING, _line(protocol)):
        answer = await _read_line(stream)
        if answer == _REFUSAL:
            raise ProtocolError("not_served", protocol)
        if answer != expected:
            raise ProtocolError("negotiation", f"expected {expected!r}, got {answer!r}")


def choose_at_once(stream: YamuxStream, handlers: Mapping[TProtocol | None, _H]) -> tuple[TProtocol, _H] | None:
    """As `choose`, where the other end has said all without waiting; None, and nothing is read, where it has not."""
    said = stream.peek(len(_GREETING) + 1 + MAX_LINE_BYTES)
    if len(said) <= len(_GREETING) or not said.startswith(_GREETING):
        return None
    end = len(_GREETING) + 1 + said[len(_GREETING)]
    line = said[len(_GREETING) : end]
    if end > len(said) or not line.endswith(b"\n") or not line.isascii():
        return None
    protocol = TProtocol(line[1:-1].decode("ascii"))
    if protocol not in handlers:
        return None
    stream.hold(stream.take(end))
    return protocol, handlers[protocol]


async def choose(stream: YamuxStream, handlers: Mapping[TProtocol | None, _H]) -> tuple[TProtocol, _H]:
    """Let the other end choose one of the protocols. Our consent goes out with what is written next.

    Raises: ProtocolError `negotiation` when what it sends makes no sense, `not_served` when it wanted something else.
    """
    answer, refused, greeted = _GREETING, 0, False
    while refused < MAX_PROPOSALS:
        try:
            line = await _read_line(stream)
        except ProtocolError as error:
            if refused:  # the first bytes of what we have just refused
                raise ProtocolError("not_served", f"{refused} proposals") from error
            raise
        if line == _GREETING:
            if greeted:
                raise ProtocolError("negotiation", "greeted twice")
            greeted = True
            if stream.has_unread:
                continue  # it did not wait for ours: one answer will do for both
        else:
            protocol = TProtocol(line[1:-1].decode("ascii"))
            if protocol in handlers:
                stream.hold(answer + line)
                return protocol, handlers[protocol]
            answer += _REFUSAL
            refused += 1
        await stream.write(answer)
        answer = b""
    raise ProtocolError("not_served", f"{refused} proposals")


async def _read_line(stream: YamuxStream) -> bytes:
    """Return one line with the length before it and the line feed behind it."""
    (size,) = await read_exactly(stream, 1)
    if not 1 <= size <= MAX_LINE_BYTES:
        raise ProtocolError("negotiation", f"a line of {size} bytes or more")
    line = await read_exactly(stream, size)
    if line[-1:] != b"\n" or not line.isascii():
        raise ProtocolError("negotiation", f"no line of text: {line!r}")
    return bytes((size,)) + line
