"""Whole swarms under faults with lossy codecs: what a chain holds of a peer, what waits and what the codec left out are
together what the peer has learned."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from peer.network.identity import Identity
from peer.rounds.effects import Publish
from peer.rounds.entry import Entry
from peer.rounds.machine import LocalWork, Parts, RoundMachine
from peer.rounds.rules import RoundRules
from peer.types import Digest
from peer.wire.envelope import open_envelope
from peer.wire.messages import DeltaHeader, decode_announcement
from tests.swarm.machine_swarm import RUN, MachineSwarm
from tests.swarm.swarm_member import Faults, Member

Sum = npt.NDArray[np.float64]


class LossySwarm(MachineSwarm):
    """Adds up what each peer learned, and remembers what each of its headers decodes to."""

    def __init__(self, size: int, *, codec: str, seed: int, faults: Faults, rules: RoundRules | None = None) -> None:
        self.codec = codec
        self.learned: dict[int, Sum] = {}
        self.decoded: dict[Digest, Sum] = {}
        super().__init__(size, seed=seed, faults=faults, rules=rules)

    def _machine(self, identity: Identity, root: Entry, sequence: int, *, now: float) -> RoundMachine:
        machine = super()._machine(identity, root, sequence, now=now)
        parts: Parts = machine._ledger.parts
        return RoundMachine(replace(parts, codec=self.codec), root=root, sequence=sequence, now=now)

    def _work(self, member: Member, base: Digest) -> LocalWork:
        work = super()._work(member, base)
        self.learned[member.number] = self.learned.get(member.number, np.zeros(6)) + work.delta.params
        return work

    def _publish(self, sender: Member, effect: Publish) -> None:
        signed = open_envelope(decode_announcement(effect.data).envelope, run=RUN)
        if isinstance(signed.message, DeltaHeader):
            delta = sender.machine._ledger.payloads.delta(signed.message)
            self.decoded[signed.digest] = delta.params.astype(np.float64)
        super()._publish(sender, effect)

    def accounted(self, member: Member) -> Sum:
        """Return what the chain holds of a peer plus what is still to come."""
        ledger = member.machine._ledger
        held = [
            self.decoded[header.digest]
            for entry in self.chain(member.machine.tip)
            for header in entry.headers
            if header.peer == member.identity.peer_id
        ]
        pieces = ledger.own.unadmitted()
        waiting = [piece.delta.params for piece in pieces]
        left = ledger.own.remainder()
        everything = [*held, *waiting, np.zeros(6) if left is None else left]
        total: Sum = np.stack(everything).sum(axis=0, dtype=np.float64)
        return total


@pytest.mark.parametrize("codec", ["float16", "int8", "int4+zstd", "topk-int8+zstd"])
@pytest.mark.parametrize("seed", range(4))
def test_lossy_codecs_under_loss_lose_nothing_and_count_nothing_twice(codec: str, seed: int) -> None:
    faults = Faults(loss=[0.0, 0.1, 0.2, 0.3][seed], latency_s=[0.02, 0.05, 0.3, 0.3][seed], duplicate=0.1)
    swarm = LossySwarm(4, codec=codec, seed=seed, faults=faults)
    swarm.run(60.0)
    for member in swarm.members:
        assert member.machine.tip.round >= 8
        assert (member.abandoned, member.dropped_steps, member.differs) == ([], 0, [])
        assert swarm.accounted(member) == pytest.approx(swarm.learned[member.number], abs=1e-8)


def test_without_faults_the_remainder_of_top_k_is_what_it_left_out() -> None:
    swarm = LossySwarm(3, codec="topk-int8", seed=1, faults=Faults())
    swarm.run(30.0)
    for member in swarm.members:
        left = member.machine._ledger.own.remainder()
        assert left is not None
        assert np.count_nonzero(np.abs(left) > 1e-5) >= 3, "one of six coordinates goes out in a round"


@pytest.mark.parametrize(
    ("codec", "of_sums"), [("float16", "float16"), ("int4+zstd", "int8+zstd"), ("topk-int8", "int8+zstd")]
)
def test_what_a_group_sums_up_is_not_sent_by_a_coarse_codec(codec: str, of_sums: str) -> None:
    """What such a codec left out of the sum would be nobody's to send later."""
    swarm = LossySwarm(6, codec=codec, seed=1, faults=Faults(), rules=RoundRules(flat_peers=3, group_peers=3))
    swarm.run(20.0)
    line = swarm.chain(swarm.members[0].machine.tip)
    assert {group.message.codec for entry in line for group in entry.groups} == {of_sums}
