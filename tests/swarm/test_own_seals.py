"""Whatever a member may say in its header, what others seal from it is taken by everybody; and a peer whose own seal
would not be takes none of it itself."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds import group_sealer, sealer
from peer.rounds.effects import Publish, Refused
from peer.rounds.group_seal import MAX_LEAP
from peer.rounds.group_sealer import seal_group
from peer.rounds.machine import RoundMachine
from peer.rounds.manifest import build_manifest
from peer.rounds.rules import RoundRules
from peer.rounds.sealer import seal_round
from peer.types import ModelDelta, Moments
from peer.wire.envelope import Signed, expect, open_envelope, seal
from peer.wire.hashing import digest_of
from peer.wire.limits import MAX_ADMITTED, MAX_COUNT, MAX_ENV_STEPS, MAX_MANIFEST_BYTES, MAX_STATISTIC
from peer.wire.messages import DeltaHeader, DepartedEntry, GroupSeal, Manifest, RosterEntry
from tests.swarm.machine_swarm import RUN, MachineSwarm
from tests.unit.services.chains import LoneChain, work

GROUPS = RoundRules(flat_peers=3, group_peers=3)
DELTA = ModelDelta(params=np.full(6, 1e-3, np.float32), moments=Moments.empty(2))
PAYLOAD = CODECS["float32"].encode(DELTA)
NORM = float(np.sqrt(np.sum(np.square(DELTA.params, dtype=np.float64))))
BOASTS: list[dict[str, Any]] = [  # Any: of each field its own type
    {"env_steps": MAX_ENV_STEPS, "weight": MAX_ENV_STEPS},
    {"approx_kl": MAX_STATISTIC, "mean_return": -MAX_STATISTIC, "eval_return": MAX_STATISTIC},
    {"sequence": MAX_COUNT},
    {"steps_per_s": MAX_COUNT},
]


def boast(machine: RoundMachine, author: Identity, **says: Any) -> Signed[DeltaHeader]:
    good = DeltaHeader(
        round=machine.tip.round + 1, base=machine.tip.digest, sequence=1 << 30, payload=digest_of(PAYLOAD),
        payload_bytes=len(PAYLOAD), codec="float32", env_steps=5, weight=5, steps_per_s=100, l2_norm=NORM,
        approx_kl=0.0, mean_return=None, eval_return=None, tasks=(),
    )  # fmt: skip
    return seal(msgspec.structs.replace(good, **says), author, run=RUN)


@pytest.mark.parametrize("says", BOASTS, ids=lambda says: "+".join(says))
def test_a_round_with_the_most_that_a_header_can_say_is_sealed_as_others_take_it(says: dict[str, Any]) -> None:
    swarm = MachineSwarm(5, seed=4)
    swarm.run(15.3)
    machine = swarm.members[0].machine
    for member in swarm.members[1:]:
        data = boast(machine, member.identity, **says).data
        taken = machine._inbox.take(data, PAYLOAD, member.identity.peer_id, swarm.now)
        assert not taken
    entry = seal_round(machine._ledger)
    assert entry.manifest is not None
    open_envelope(entry.manifest.data, run=RUN)
    assert len(entry.admitted) >= 4


@pytest.mark.parametrize("says", BOASTS, ids=lambda says: "+".join(says))
def test_a_group_with_the_most_that_a_header_can_say_is_sealed_as_others_take_it(says: dict[str, Any]) -> None:
    swarm = MachineSwarm(12, seed=4, rules=GROUPS)
    swarm.run(15.3)
    machine = swarm.members[0].machine
    grouping = machine.tip.grouping
    assert grouping is not None
    me = swarm.members[0].identity.peer_id
    first, *others = [swarm.by_id[peer] for peer in grouping.groups[grouping.group_of(me)] if peer != me]
    for member in others:
        machine._inbox.take(boast(machine, member.identity).data, PAYLOAD, member.identity.peer_id, swarm.now)
    machine._inbox.take(boast(machine, first.identity, **says).data, PAYLOAD, first.identity.peer_id, swarm.now)
    signed, _ = seal_group(machine._ledger)
    opened = open_envelope(signed.data, run=RUN)
    leaps = says.get("sequence", 0) > MAX_LEAP
    assert (first.identity.peer_id in {header.peer for header in machine._ledger.candidates()}) is not leaps
    assert opened.message == signed.message


def test_the_env_steps_of_a_run_stay_at_their_bound_and_its_rounds_go_on() -> None:
    chain = LoneChain()
    chain.seal()
    late = LoneChain(replace(chain.machine.tip, env_steps=MAX_COUNT - 1))
    late.seal()
    late.seal()
    assert late.machine.tip.env_steps == MAX_COUNT
    assert late.machine.tip.round == chain.machine.tip.round + 2


@pytest.mark.parametrize("flat_peers", [RoundRules().flat_peers, 0], ids=["flat", "in groups"])
def test_a_seal_that_everybody_would_refuse_is_told_and_not_followed(
    monkeypatch: pytest.MonkeyPatch, flat_peers: int
) -> None:
    chain = LoneChain(rules=RoundRules(flat_peers=flat_peers))
    chain.seal()
    with monkeypatch.context() as patch:
        patch.setattr(sealer, "build_manifest", _with(build_manifest, env_steps=MAX_COUNT + 1))
        patch.setattr(group_sealer, "GroupSeal", _with(GroupSeal, weight=MAX_COUNT + 1))
        tip = chain.machine.tip
        effects = chain.machine.announce(work(tip), chain.now)
        for _ in range(20):
            chain.now += 0.5
            effects += chain.machine.tick(chain.now)
    refused = [effect for effect in effects if isinstance(effect, Refused)]
    assert [(effect.reason, effect.peer) for effect in refused] == [("malformed", chain.machine._ledger.me)]
    assert "own seal" in refused[0].detail
    assert chain.machine.tip is tip
    assert sum(isinstance(effect, Publish) for effect in effects) == 1, "the header alone"


def _with(make: Any, **changes: Any) -> Any:  # Any: of two builders, each with its own arguments
    return lambda *arguments, **named: msgspec.structs.replace(make(*arguments, **named), **changes)


def crowded_chain() -> LoneChain:
    """A chain whose flat roster is full, whose numbers are as long as they get, and on which 127 strangers have
    announced headers as long as headers get."""
    chain = LoneChain()
    chain.seal()
    tip = chain.machine.tip
    known = [Identity.for_tests(number).peer_id for number in range(500, 579)]
    crowd = [*tip.roster, *(RosterEntry(peer, 1, MAX_COUNT, MAX_COUNT) for peer in known[:47])]
    roster = tuple(sorted(crowd, key=lambda member: member.peer))
    departed = tuple(DepartedEntry(peer, MAX_COUNT, tip.round) for peer in sorted(known[47:]))
    crowded = LoneChain(replace(tip, roster=roster, departed=departed, standing=None))
    payload = tip.headers[0].message.payload
    data = chain.machine._ledger.payloads.data(payload)
    tasks = tuple(f"{number}-".ljust(48, "x") for number in range(8))
    crowded.machine.announce(work(tip), 0.0)
    for number in range(100, 227):
        author = Identity.for_tests(number)
        header = boast(
            crowded.machine, author, sequence=MAX_COUNT, payload=payload, payload_bytes=len(data or b""),
            env_steps=MAX_ENV_STEPS, weight=1, steps_per_s=MAX_COUNT, l2_norm=1.0, mean_return=1.0, eval_return=1.0,
            tasks=tasks, codec="float32",
        )  # fmt: skip
        assert not crowded.machine._inbox.take(header.data, data, author.peer_id, 0.0)
    return crowded


def test_as_many_of_the_longest_headers_as_a_manifest_may_admit_fit_it() -> None:
    chain = crowded_chain()
    entry = seal_round(chain.machine._ledger)
    assert entry.manifest is not None
    assert len(entry.headers) == MAX_ADMITTED
    assert len(entry.manifest.data) <= MAX_MANIFEST_BYTES


def test_rejections_take_no_more_than_the_room_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = crowded_chain()
    whole = seal_round(chain.machine._ledger).manifest
    assert whole is not None
    room = len(whole.data) - 2_000
    monkeypatch.setattr("peer.rounds.sealer.MAX_MANIFEST_BYTES", room)
    entry = seal_round(chain.machine._ledger)
    assert entry.manifest is not None
    assert room - 512 < len(entry.manifest.data) <= room
    told = expect(entry.manifest, Manifest).message.rejected
    assert told == expect(whole, Manifest).message.rejected[: len(told)]
    assert len(entry.headers) == MAX_ADMITTED


def test_headers_that_are_too_long_together_are_admitted_as_far_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = crowded_chain()
    monkeypatch.setattr("peer.rounds.sealer.MAX_ADMITTED_BYTES", 10_000)
    entry = seal_round(chain.machine._ledger)
    sizes = [len(header.data) for header in entry.headers]
    assert 10_000 - max(sizes) < sum(sizes) <= 10_000
    assert [header.peer for header in entry.headers] == sorted(header.peer for header in entry.headers)
