"""What comes back for a request: taken as it comes, however it is cut, and refused as soon as it can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libp2p.custom_types import TProtocol

from peer.errors import ProtocolError
from peer.network.libp2p_framing import header
from peer.network.libp2p_negotiation import proposal
from peer.network.libp2p_response import OVERHEAD_BYTES, Response

PROTOCOL = TProtocol("/murmur/echo/1")
CONSENT = proposal(PROTOCOL)
REFUSAL = CONSENT[: CONSENT.index(b"\n") + 1] + b"\x03na\n"


class Asked:
    """A request, and what came back for it. consents: after how many bytes."""

    def __init__(self, max_bytes: int = 100) -> None:
        self.taken = bytearray()
        self.consents: list[int] = []
        self.fed = 0
        self.response = Response(
            PROTOCOL, max_bytes=max_bytes, take=self.taken.extend, consented=lambda: self.consents.append(self.fed)
        )

    def feed(self, data: bytes, *, segment: int = 1 << 30) -> None:
        for start in range(0, len(data), segment):
            part = data[start : start + segment]
            self.fed += len(part)
            self.response.feed(memoryview(part))

    def refuses(self, data: bytes) -> str:
        with pytest.raises(ProtocolError) as caught:
            self.feed(data, segment=1)
        return caught.value.reason


@given(st.binary(max_size=300), st.integers(1, 400))
def test_response_survives_any_segmentation(data: bytes, segment: int) -> None:
    asked = Asked(300)
    asked.feed(CONSENT + header(len(data)) + data, segment=segment)
    assert asked.taken == data
    assert asked.response.missing == 0


def test_missing_is_never_less_than_what_may_come_and_exact_from_the_header_on() -> None:
    asked = Asked(100)
    assert asked.response.missing == len(CONSENT) + 4 + 100
    asked.feed(CONSENT + header(7)[:3], segment=1)
    assert asked.response.missing == 1 + 100
    asked.feed(header(7)[3:] + b"ab")
    assert asked.response.missing == 5


def test_consent_is_told_once_before_there_is_an_answer() -> None:
    asked = Asked()
    asked.feed(CONSENT, segment=1)
    assert asked.consents == [len(CONSENT)]
    asked.feed(header(1) + b"x", segment=1)
    assert asked.consents == [len(CONSENT)]


def test_consent_that_comes_with_the_whole_answer_is_not_worth_telling() -> None:
    asked = Asked()
    asked.feed(CONSENT + header(1) + b"x")
    assert asked.consents == []
    assert asked.taken == b"x"


def test_other_answers_to_the_proposal_are_refused() -> None:
    assert Asked().refuses(REFUSAL) == "not_served"
    assert Asked().refuses(b"\xff") == "negotiation"
    assert Asked().refuses(proposal(TProtocol("/murmur/other/1"))) == "negotiation"


def test_too_much_is_refused_by_the_header_alone_and_behind_the_end() -> None:
    asked = Asked(100)
    assert asked.refuses(CONSENT + header(101) + b"x") == "frame_too_large"
    assert asked.fed == len(CONSENT) + 4
    assert Asked(100).refuses(CONSENT + header(3) + b"1234") == "frame_too_large"


def test_what_comes_before_the_bytes_is_bounded() -> None:
    longest = TProtocol("/" + "x" * 125)
    assert len(proposal(longest)) + 4 <= OVERHEAD_BYTES
