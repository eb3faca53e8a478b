"""Examining a newcomer: by challenge and answer, each side for itself."""

import random

import pytest
import trio
from trio.testing import MockClock

from peer.admission.policy import AdmissionPolicy
from peer.admission.swarm_key import SwarmKey
from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.services.admission import AdmissionDesk
from peer.services.allow_lists import AllowListDesk
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from peer.wire.admission import ADMISSION_PROTOCOL, Challenge, ChallengeAnswer, decode, encode
from tests.unit.services.scripted_transport import ScriptedTransport

RUN = b"r" * 16
ALICE, BOB, MALLORY = (Identity.for_tests(number).peer_id for number in (1, 2, 3))
KEY, OTHER_KEY = SwarmKey(b"k" * 32), SwarmKey(b"o" * 32)


class Desk:
    """Alice's or Bob's desk on its own scripted transport."""

    def __init__(self, me: PeerId, key: SwarmKey | None) -> None:
        self.me = me
        self.transport = ScriptedTransport(me)
        policy = AdmissionPolicy(swarm_key=key)
        lists = AllowListDesk(self.transport, policy=policy, sink=RecordingSink(), rng=random.Random(1))
        self.desk = AdmissionDesk(self.transport, run=RUN, policy=policy, lists=lists)
        self.desk.open()

    async def examines(self, other: "Desk", *, claims: PeerId | None = None) -> None:
        """claims: the identity that the other end of the connection has proved, if not its desk's."""
        peer = claims or other.me
        self.transport.joins(peer)

        async def answer(protocol: str, data: bytes) -> bytes:
            return await other.transport.handlers[protocol](self.me, data)

        self.transport.answers[peer] = answer
        await self.desk.examine(peer)


@pytest.mark.parametrize("key", [None, KEY])
async def test_peers_that_have_the_same_or_no_key_admit_each_other(key: SwarmKey | None) -> None:
    alice, bob = Desk(ALICE, key), Desk(BOB, key)
    await alice.examines(bob)
    await bob.examines(alice)


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (KEY, OTHER_KEY, "murmur swarm-key show"),
        (KEY, None, "it has no swarm key"),
        (None, KEY, "set network.swarm_key_file"),
    ],
)
async def test_each_side_refuses_another_key_by_itself_and_says_what_to_do(
    ours: SwarmKey | None, theirs: SwarmKey | None, said: str
) -> None:
    with pytest.raises(ProtocolError, match=said) as caught:
        await Desk(ALICE, ours).examines(Desk(BOB, theirs))
    assert caught.value.reason == "swarm_key"
    with pytest.raises(ProtocolError, match=r"swarm key|swarm_key"):
        await Desk(BOB, theirs).examines(Desk(ALICE, ours))


async def test_a_proof_passed_on_by_a_third_without_the_key_is_refused() -> None:
    """Mallory, connected to both as itself, asks Bob what Alice has asked it."""
    with pytest.raises(ProtocolError, match="is not ours"):
        await Desk(ALICE, KEY).examines(Desk(BOB, KEY), claims=MALLORY)


async def test_an_old_answer_does_not_pass_a_second_time() -> None:
    alice, bob = Desk(ALICE, KEY), Desk(BOB, KEY)
    recorded: list[bytes] = []

    async def replay(protocol: str, data: bytes) -> bytes:
        if not recorded:
            recorded.append(await bob.transport.handlers[protocol](ALICE, data))
        return recorded[0]

    alice.transport.joins(BOB)
    alice.transport.answers[BOB] = replay
    await alice.desk.examine(BOB)
    with pytest.raises(ProtocolError, match="is not ours"):
        await alice.desk.examine(BOB)


@pytest.mark.parametrize("said", [b"", b"\xc1", bytes(1000), encode(Challenge(bytes(32)))])
async def test_an_answer_that_is_none_is_refused(said: bytes) -> None:
    alice = Desk(ALICE, KEY)

    async def answer(protocol: str, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        return said

    alice.transport.joins(BOB)
    alice.transport.answers[BOB] = answer
    with pytest.raises(ProtocolError):
        await alice.desk.examine(BOB)


@pytest.mark.parametrize("asked", [b"", b"\xc1", bytes(1000), encode(Challenge(bytes(32))) + b"\x00"])
async def test_a_question_that_is_none_is_refused(asked: bytes) -> None:
    with pytest.raises(ProtocolError):
        await Desk(ALICE, KEY).transport.handlers[ADMISSION_PROTOCOL](BOB, asked)


async def test_the_desk_answers_strangers_and_bounds_what_it_says(autojump_clock: MockClock) -> None:
    alice = Desk(ALICE, KEY)
    assert ADMISSION_PROTOCOL in alice.transport.open_handlers
    answer = await alice.transport.handlers[ADMISSION_PROTOCOL](BOB, encode(Challenge(bytes(32))))
    assert decode(answer, ChallengeAnswer).proof is not None
