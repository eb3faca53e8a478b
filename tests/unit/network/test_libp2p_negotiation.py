"""Agreeing on a protocol, on bytes that are all there: what is chosen, refused, answered, and left to be read."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from libp2p.custom_types import TProtocol

from peer.errors import ProtocolError
from peer.network.libp2p_negotiation import choose, choose_at_once, is_refusal, proposal, read_consent

GREETING = b"\x13/multistream/1.0.0\n"
REFUSAL = b"\x03na\n"
SERVED = TProtocol("/murmur/echo/1")
LONGEST = TProtocol("/" + "p" * 125)
HANDLERS = {SERVED: "echo", LONGEST: "longest"}


def line(text: bytes) -> bytes:
    return bytes((len(text) + 1,)) + text + b"\n"


class Said:
    """A stream on which everything has come in, and whose end is next. sent: what goes out, held back or not."""

    def __init__(self, data: bytes) -> None:
        self.rest = data
        self.sent = b""

    @property
    def has_unread(self) -> bool:
        return bool(self.rest)

    async def read(self, n: int) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.rest:
            raise ProtocolError("frame_truncated", "its end")
        return self.take(n)

    def peek(self, n: int) -> bytes:
        return self.rest[:n]

    def take(self, n: int) -> bytes:
        part, self.rest = self.rest[:n], self.rest[n:]
        return part

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.sent += data

    def hold(self, data: bytes) -> None:
        self.sent += data


async def chosen(data: bytes) -> tuple[str, bytes, bytes]:
    """Return what was chosen, or why nothing was, what was answered, and what is left to be read."""
    stream = Said(data)
    try:
        protocol, handler = await choose(stream, HANDLERS)  # type: ignore[arg-type]  # as much of one as it needs
        assert HANDLERS[protocol] == handler
    except ProtocolError as error:
        return error.reason, stream.sent, stream.rest
    return handler, stream.sent, stream.rest


@pytest.mark.parametrize(
    ("data", "reason", "sent"),
    [
        (GREETING + line(SERVED.encode()), "echo", GREETING + line(SERVED.encode())),
        (GREETING + line(LONGEST.encode()), "longest", GREETING + line(LONGEST.encode())),
        (GREETING + line(b"/o") + line(SERVED.encode()), "echo", GREETING + REFUSAL + line(SERVED.encode())),
        (GREETING + line(b"/o") * 7 + line(SERVED.encode()), "echo", GREETING + REFUSAL * 7 + line(SERVED.encode())),
        (GREETING + line(b"/o") * 8 + line(SERVED.encode()), "not_served", GREETING + REFUSAL * 8),
        (GREETING + line(b"/o") + b"\0\0\0\5hello", "not_served", GREETING + REFUSAL),
        (GREETING + line(b"p" * 127), "negotiation", b""),
        (GREETING + GREETING + line(SERVED.encode()), "negotiation", b""),
        (GREETING + line(b"/o") + GREETING + line(SERVED.encode()), "negotiation", GREETING + REFUSAL),
        (GREETING + b"\0", "negotiation", b""),
        (GREETING + b"\x03abc", "negotiation", b""),
        (GREETING + b"\x03\xff\xff\n", "negotiation", b""),
    ],
)
async def test_what_is_proposed_is_chosen_or_refused(data: bytes, reason: str, sent: bytes) -> None:
    assert (await chosen(data + b"rest"))[:2] == (reason, sent)


async def test_what_follows_a_choice_is_left_to_be_read() -> None:
    assert (await chosen(proposal(SERVED) + b"request"))[2] == b"request"


_LINES = [GREETING, line(SERVED.encode()), line(LONGEST.encode()), line(b"/o"), line(SERVED.encode())[:-1] + b"x"]
_PIECES = st.sampled_from([*_LINES, b"\x02", b"\n", b"re"])


@given(st.lists(_PIECES, max_size=5).map(b"".join), st.none() | st.integers(0, 200))
def test_a_choice_at_once_is_that_of_a_choice_with_waiting(data: bytes, cut: int | None) -> None:
    data = data[:cut]
    stream = Said(data)
    found = choose_at_once(stream, HANDLERS)  # type: ignore[arg-type]  # as above
    if found is None:
        assert (stream.rest, stream.sent) == (data, b"")
    else:
        assert trio.run(chosen, data) == (found[1], stream.sent, stream.rest)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GREETING,
        line(SERVED.encode()) * 2,
        (GREETING + line(SERVED.encode()))[:-1],
        GREETING + line(SERVED.encode())[:-1] + b"x",
        GREETING + line(b"/o") + line(SERVED.encode()),
        GREETING + b"\x03\xff\xff\n",
    ],
)
def test_what_is_no_whole_proposal_of_what_is_served_is_left_to_be_read(data: bytes) -> None:
    stream = Said(data)
    assert choose_at_once(stream, HANDLERS) is None  # type: ignore[arg-type]  # as above
    assert (stream.rest, stream.sent) == (data, b"")


@pytest.mark.parametrize("protocol", HANDLERS)
def test_a_whole_proposal_is_chosen_at_once(protocol: TProtocol) -> None:
    assert choose_at_once(Said(proposal(protocol) + b"request"), HANDLERS) == (protocol, HANDLERS[protocol])  # type: ignore[arg-type]  # as above


def test_a_protocol_that_needs_more_than_a_line_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="at most 126 characters"):
        proposal(TProtocol(LONGEST + "p"))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (GREETING + line(SERVED.encode()), ""),
        (GREETING + REFUSAL, "not_served"),
        (GREETING + line(b"/o"), "negotiation"),
        (line(b"/multistream/2.0.0"), "negotiation"),
        (GREETING[:5], "frame_truncated"),
    ],
)
async def test_an_answer_is_consent_to_what_was_proposed_or_says_why_not(answer: bytes, reason: str) -> None:
    stream, found = Said(answer), ""
    try:
        await read_consent(stream, SERVED)  # type: ignore[arg-type]  # as above
    except ProtocolError as error:
        found = error.reason
    assert found == reason
    assert reason or not stream.rest


def test_a_refusal_is_known_by_its_beginning() -> None:
    whole = GREETING + REFUSAL
    assert all(is_refusal(whole[:n]) for n in range(len(whole) + 1))
    assert not is_refusal(whole + b"\0")
    assert not is_refusal(GREETING + line(SERVED.encode()))
