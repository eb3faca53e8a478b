"""A peer with a key of its own that is admitted and lies, and what it may say."""

from collections.abc import Callable

import msgspec
import numpy as np

from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds.effects import Effect, FetchPayload, Refused
from peer.rounds.entry import Entry
from peer.rounds.machine import RoundMachine
from peer.rounds.manifest import build_manifest, outcome_of
from peer.rounds.rules import RoundRules
from peer.types import Digest, ModelDelta, Moments, PeerId
from peer.wire.envelope import Signed, seal
from peer.wire.hashing import digest_of
from peer.wire.messages import DeltaHeader, Manifest
from tests.swarm.machine_swarm import RUN, MachineSwarm
from tests.swarm.swarm_member import Member

EVIL = Identity.for_tests(2)  # member 1 of the swarm: admitted, on the roster, with a key of its own
SOURCE: PeerId = EVIL.peer_id
DELTA = ModelDelta(params=np.full(6, 1e-3, np.float32), moments=Moments.empty(2))
PAYLOAD = CODECS["float32"].encode(DELTA)


def header(tip: Entry, **changes: object) -> Signed[DeltaHeader]:
    good = DeltaHeader(
        round=tip.round + 1, base=tip.digest, sequence=1 << 40, payload=digest_of(PAYLOAD), payload_bytes=len(PAYLOAD),
        codec="float32", env_steps=5, weight=5, steps_per_s=100, l2_norm=1.0, approx_kl=0.0, mean_return=None,
        eval_return=None, tasks=(),
    )  # fmt: skip
    return seal(msgspec.structs.replace(good, **changes), EVIL, run=RUN)


def manifest(tip: Entry, headers: list[Signed[DeltaHeader]] | None = None, **changes: object) -> Signed[Manifest]:
    headers = [header(tip)] if headers is None else headers
    outcome = outcome_of(tip, headers, RoundRules())
    model = Digest(b"m" * 32)
    good = build_manifest(tip, headers, sealer=SOURCE, rejected=(), outcome=outcome, model=model, parts=b"odd length")
    return seal(msgspec.structs.replace(good, **changes), EVIL, run=RUN)


def refusals(effects: list[Effect]) -> list[str]:
    return [effect.reason for effect in effects if isinstance(effect, Refused)]


def fetched(effects: list[Effect]) -> list[FetchPayload]:
    return [effect for effect in effects if isinstance(effect, FetchPayload)]


def inject(swarm: MachineSwarm, data: bytes, payload: bytes | None = None) -> None:
    """Hand one envelope to every live member, as the liar itself would."""

    def receive(member: Member) -> Callable[[RoundMachine], list[Effect]]:
        return lambda machine: machine.receive(data, payload=payload, source=SOURCE, now=swarm.clock(member))

    for member in [member for member in swarm.members if member.alive]:
        swarm._to(member, member.life, receive(member))


def swarm_with_a_liar() -> MachineSwarm:
    """Return a swarm of four, whose second member is none of it any more: a liar has its key."""
    swarm = MachineSwarm(4, seed=4)
    swarm.run(15.3)
    swarm.crash(1)
    swarm.run(8.0)
    return swarm
