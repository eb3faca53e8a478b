"""How many liars it takes until two rivals are final at a time, and what becomes of it (docs/adr/0003, SECURITY.md)."""

from contextlib import ExitStack
from dataclasses import dataclass
from unittest.mock import patch

import pytest

from peer.network.identity import Identity
from peer.rounds.manifest import build_manifest
from peer.rounds.sealer import _after
from peer.types import Digest, PeerId, Session
from peer.wire.envelope import Signed, seal
from peer.wire.hashing import part_hashes
from peer.wire.messages import Ack, DeltaHeader, Rejection
from tests.swarm.machine_swarm import RUN, SCHEMA, MachineSwarm


@dataclass(frozen=True, slots=True, kw_only=True)
class Guise:
    """One identity under a session number of its own: what two of them sign is no proof against it (docs/adr/0051)."""

    identity: Identity
    session: Session

    @property
    def peer_id(self) -> PeerId:
        return self.identity.peer_id

    def sign(self, data: bytes) -> bytes:
        return self.identity.sign(data)


def swarm_with_a_round_to_seal(size: int, *, bad: int) -> tuple[MachineSwarm, list[Signed[DeltaHeader]]]:
    """Return a swarm whose `bad` last members say no word of their own any more, and the headers of its open round."""
    swarm = MachineSwarm(size, seed=4)
    swarm.run(25.3)
    while len(swarm.tips()) > 1 or any(m.machine.final_round < m.machine.tip.round for m in swarm.alive):
        swarm.run(0.05)
    with ExitStack() as till_all_is_in:
        for member in swarm.members:
            till_all_is_in.enter_context(patch.object(member.machine, "_seal_if_due", return_value=[]))
        swarm.run(2.5)
    for member in swarm.members:
        member.alive = member.number < size - bad
    headers = swarm.members[0].machine._ledger.candidates()
    assert len(headers) == size
    return swarm, headers


def lie_to_both_halves(swarm: MachineSwarm, headers: list[Signed[DeltaHeader]], *, bad: int) -> list[Digest]:
    """Have the bad members seal two rivals and vote for both, each half of the others hearing of one."""
    size = len(swarm.members)
    honest = swarm.members[: size - bad]
    liars = [Identity.for_tests(size - number, life=1) for number in range(bad)]
    ledger, tip = honest[0].machine._ledger, honest[0].machine.tip
    rivals = []
    outcome, state, model = _after(ledger, headers)
    for number, side in enumerate((honest[: len(honest) // 2], honest[len(honest) // 2 :])):
        body = build_manifest(
            tip,
            headers,
            sealer=liars[0].peer_id,
            rejected=[Rejection(bytes([number]) * 32, liars[0].peer_id, "norm")],
            outcome=outcome,
            model=model,
            parts=part_hashes(state, SCHEMA),
        )
        session = Session(bytes([number + 1]) * 16)
        rival = seal(body, Guise(identity=liars[0], session=session), run=RUN)
        rivals.append(rival.digest)
        vote = Ack(tip.round + 1, tip.digest, rival.digest, model, tip.round)
        said = [rival.data, *(seal(vote, Guise(identity=liar, session=session), run=RUN).data for liar in liars)]
        for member in side:
            for data in said:
                now = swarm.clock(member)
                effects = member.machine.receive(data, payload=None, source=liars[0].peer_id, now=now)
                swarm._carry_out(member, effects)
    return rivals


def final_rivals(swarm: MachineSwarm, rivals: list[Digest]) -> set[Digest]:
    return {digest for member in swarm.alive for digest in member.final.values()} & set(rivals)


@pytest.mark.parametrize(("size", "bad"), [(5, 1), (7, 1), (6, 2), (8, 2)])
def test_liars_in_two_guises_make_two_rivals_final_until_the_window_has_passed(size: int, bad: int) -> None:
    swarm, headers = swarm_with_a_round_to_seal(size, bad=bad)
    rivals = lie_to_both_halves(swarm, headers, bad=bad)
    swarm.run(0.3)
    assert final_rivals(swarm, rivals) == set(rivals)
    swarm.run(60.0)  # the window has to pass, in rounds that wait for those on the other side
    assert len(final_rivals(swarm, rivals)) <= 1, "one side has taken back what it held as final"
    assert len({entry.digest for member in swarm.alive for entry in member.machine.line()} & set(rivals)) <= 1
    assert swarm.agreed_round() >= swarm.members[0].machine.tip.round - 1


@pytest.mark.parametrize("size", [4, 6, 8])
def test_one_liar_among_an_even_number_makes_no_two_rivals_final(size: int) -> None:
    """Two majorities of an even number share two voters, of an odd number one; an honest voter is in one of them."""
    swarm, headers = swarm_with_a_round_to_seal(size, bad=1)
    rivals = lie_to_both_halves(swarm, headers, bad=1)
    for _ in range(100):
        swarm.run(0.05)
        assert len(final_rivals(swarm, rivals)) <= 1
    assert swarm.agreed_round() >= swarm.members[0].machine.tip.round - 1
