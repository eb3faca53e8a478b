"""More messages than anybody needs, all of them well formed: they take no room from what is in use."""

import pytest

from peer.network.identity import Identity
from peer.wire.envelope import seal
from peer.wire.hashing import digest_of
from peer.wire.messages import Ack
from tests.swarm.liar import EVIL, header, inject, manifest, swarm_with_a_liar
from tests.swarm.machine_swarm import RUN


def test_flood_of_rivals_orphans_and_votes_stays_bounded_and_the_swarm_goes_on() -> None:
    swarm = swarm_with_a_liar()
    machine = swarm.members[0].machine
    tip, before = machine.tip, swarm.agreed_round()
    for number in range(300):
        own = header(tip, sequence=(1 << 40) + number, env_steps=number + 1)
        inject(swarm, manifest(tip, [own]).data)
        inject(swarm, header(tip, base=digest_of(b"%d" % number), sequence=number + 1, round=tip.round + 1).data)
        lost = Ack(tip.round + number, tip.digest, digest_of(b"%d" % number), tip.model, 0)
        inject(swarm, seal(lost, EVIL, run=RUN).data)
    assert len(machine._ledger.chain) <= 9 + 2
    assert len(machine._ledger.pool.bases()) <= 2 + 2
    assert len(machine._ledger.votes) <= 100
    assert machine.tip is tip
    swarm.run(20.0)
    assert swarm.agreed_round() >= before + 5


def test_headers_on_made_up_bases_cost_the_round_in_progress_nothing() -> None:
    swarm = swarm_with_a_liar()
    before = swarm.agreed_round()
    for second in range(20):
        for number in range(16):
            base = digest_of(b"%d of %d" % (number, second))
            made_up = header(swarm.members[0].machine.tip, base=base, sequence=(1 << 40) + 16 * second + number)
            inject(swarm, made_up.data)
        swarm.run(1.0)
    assert swarm.agreed_round() >= before + 5


@pytest.mark.parametrize("is_listed", [False, True])
def test_votes_of_made_up_keys_keep_nothing_from_being_final(*, is_listed: bool) -> None:
    swarm = swarm_with_a_liar()
    before = swarm.members[0].machine.final_round
    if is_listed:
        listed = frozenset(member.identity.peer_id for member in swarm.members)
        for member in [member for member in swarm.members if member.alive]:
            swarm._to(member, member.life, lambda machine: machine.allow(listed, swarm.now))
    for number in range(260):
        guise = Identity.for_tests(10_000 + number)
        for round_number in range(before + 1, before + 13):
            vote = Ack(round_number, b"p" * 32, b"x" * 32, b"m" * 32, 0)
            inject(swarm, seal(vote, guise, run=RUN).data)
    refused = {effect.reason for member in swarm.members for effect in member.refused}
    assert refused == ({"not_allowed"} if is_listed else set())
    swarm.run(20.0)
    assert swarm.members[0].machine.final_round >= before + 5
