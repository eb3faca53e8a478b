"""Payloads that are not what their header says, and headers that lie about a payload: only the liar loses by it."""

import msgspec
import numpy as np
import pytest

import peer.rounds.payloads
from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds.effects import FetchPayload
from peer.rounds.machine import RoundMachine
from peer.rounds.sealer import seal_round
from peer.types import Digest, ModelDelta, Moments
from peer.wire.envelope import seal
from peer.wire.hashing import digest_of
from tests.swarm.liar import DELTA, PAYLOAD, SOURCE, fetched, header, refusals
from tests.swarm.machine_swarm import RUN, MachineSwarm


@pytest.mark.parametrize(("norm", "reason"), [(1.0, "norm"), (1e-3 * 6**0.5, None), (0.0, "norm")])
def test_delta_that_is_not_as_long_as_declared_is_left_out_and_the_manifest_says_why(
    norm: float, reason: str | None
) -> None:
    swarm = MachineSwarm(3, seed=4)
    swarm.run(15.3)
    machine = swarm.members[0].machine
    lying = header(machine.tip, l2_norm=norm)
    assert refusals(machine.receive(lying.data, payload=PAYLOAD, source=SOURCE, now=15.3)) == []
    own = Identity.for_tests(3)
    honest = seal(msgspec.structs.replace(lying.message, l2_norm=1e-3 * 6**0.5), own, run=RUN)
    machine.receive(honest.data, payload=PAYLOAD, source=SOURCE, now=15.3)
    entry = seal_round(machine._ledger)
    admitted = {signed.digest for signed in entry.headers}
    assert honest.digest in admitted
    assert (lying.digest in admitted) == (reason is None)
    assert entry.manifest is not None
    reasons = {rejection.header: rejection.reason for rejection in entry.manifest.message.rejected}
    assert reasons.get(lying.digest) == reason


@pytest.mark.parametrize("lie", [{"codec": "float16"}, {"payload_bytes": len(PAYLOAD) - 4}])
def test_copycat_that_lies_about_anothers_payload_changes_nothing_for_its_owner(
    machine: RoundMachine, lie: dict[str, object]
) -> None:
    honest = seal(header(machine.tip).message, Identity.for_tests(3), run=RUN)
    copycat = header(machine.tip, **lie)
    refused = []
    for signed in (copycat, honest, copycat):
        refused += refusals(machine.receive(signed.data, payload=None, source=SOURCE, now=15.3))
    refused += refusals(machine.receive_payload(digest_of(PAYLOAD), PAYLOAD, 15.3))
    assert set(refused) == {"payload_size"}, "the copycat's, whose claim does not hold"
    payloads = machine._ledger.payloads
    np.testing.assert_array_equal(payloads.delta(honest.message).params, DELTA.params)
    assert copycat.message not in payloads
    candidates = {signed.digest for signed in machine._ledger.candidates()}
    assert (honest.digest in candidates, copycat.digest in candidates) == (True, False)


LIES: list[dict[str, object]] = [{"codec": "float32+zstd"}, {"payload_bytes": 20}]


@pytest.mark.parametrize("lie", LIES, ids=["codec", "size"])
def test_false_claim_about_anothers_payload_has_it_pulled_once(machine: RoundMachine, lie: dict[str, object]) -> None:
    honest = seal(header(machine.tip).message, Identity.for_tests(3), run=RUN)
    copycat = header(machine.tip, **lie)
    machine.receive(honest.data, payload=PAYLOAD, source=SOURCE, now=15.3)
    assert refusals(machine.receive(copycat.data, payload=None, source=SOURCE, now=15.3)), "the bytes are here"
    assert copycat not in machine._ledger.pool.on_base(machine.tip.digest)
    assert not any(fetched(machine.tick(15.3 + delay)) for delay in (0.0, 1.5, 2.5))


@pytest.mark.parametrize("lie", LIES, ids=["codec", "size"])
def test_claim_that_comes_before_the_payload_and_is_found_false_is_remembered(
    machine: RoundMachine, lie: dict[str, object]
) -> None:
    copycat = header(machine.tip, **lie)
    assert fetched(machine.receive(copycat.data, payload=None, source=SOURCE, now=15.3))
    effects = machine.receive_payload(digest_of(PAYLOAD), PAYLOAD, 15.3)
    assert refusals(effects)
    assert not any(fetched([*effects, *machine.tick(15.3 + delay)]) for delay in (0.0, 1.5, 2.5))
    honest = seal(header(machine.tip).message, Identity.for_tests(3), run=RUN)
    asked = fetched(machine.receive(honest.data, payload=None, source=SOURCE, now=18.0))
    assert [(effect.payload_bytes, effect.holders) for effect in asked] == [(len(PAYLOAD), (honest.peer,))]


def test_false_size_keeps_a_payload_from_being_pulled_for_one_try_at_most(machine: RoundMachine) -> None:
    now = 15.3
    honest = seal(header(machine.tip).message, Identity.for_tests(3), run=RUN)
    copycat = header(machine.tip, payload_bytes=20)
    effects = [
        effect
        for each in (copycat, honest)
        for effect in machine.receive(each.data, payload=None, source=SOURCE, now=now)
    ]
    asked = [effect.payload_bytes for effect in fetched(effects)]
    for _ in range(3):
        effects = machine.payload_failed(digest_of(PAYLOAD), now)  # no holder has bytes of that name and size
        now += 1.1
        asked += [effect.payload_bytes for effect in fetched([*effects, *machine.tick(now)])]
    assert {20, len(PAYLOAD)} == set(asked[:2]) == set(asked[2:])


BAD_PAYLOADS = {
    "short": (PAYLOAD[:-1], {}, "payload_size"),
    "another": (bytes(len(PAYLOAD)), {}, "payload_hash"),
    "NaN": (
        bad := CODECS["float32"].encode(ModelDelta(params=np.full(6, np.nan, np.float32), moments=Moments.empty(2))),
        {"payload": digest_of(bad)},
        "not_finite",
    ),
}


@pytest.mark.parametrize(("data", "declared", "reason"), BAD_PAYLOADS.values(), ids=BAD_PAYLOADS.keys())
def test_bad_payload_is_refused_when_it_rides_along_and_when_it_is_pulled(
    machine: RoundMachine, data: bytes, declared: dict[str, object], reason: str
) -> None:
    signed = header(machine.tip, **declared)
    assert refusals(machine.receive(signed.data, payload=data, source=SOURCE, now=15.3)) == [reason]
    effects = machine.receive(signed.data, payload=None, source=SOURCE, now=15.3)
    assert [effect for effect in effects if isinstance(effect, FetchPayload)]
    wanted = Digest(signed.message.payload)
    assert refusals(machine.receive_payload(wanted, data, 15.3)) == [reason]
    assert signed.message not in machine._ledger.payloads
    assert machine.blob(wanted) is None
    again = any(isinstance(effect, FetchPayload) for effect in machine.tick(16.5))
    assert again is (digest_of(data) != wanted), "another holder may have the bytes of that name; these are as they are"


def test_hash_that_whoever_pulled_a_payload_has_computed_is_not_computed_anew(
    machine: RoundMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = header(machine.tip)
    machine.receive(signed.data, payload=None, source=SOURCE, now=15.3)
    wanted = Digest(signed.message.payload)
    monkeypatch.delattr(peer.rounds.payloads, "digest_of")
    assert refusals(machine.receive_payload(wanted, PAYLOAD, 15.3, digest=digest_of(b"others"))) == ["payload_hash"]
    assert refusals(machine.receive_payload(wanted, PAYLOAD, 15.3, digest=wanted)) == []
    assert signed.message in machine._ledger.payloads


def test_made_up_statistics_of_one_member_move_nobodys_common_ones() -> None:
    swarm = MachineSwarm(5, seed=4)
    swarm.run(15.3)
    tip = swarm.members[0].machine.tip
    swarm.crash(1)
    made_up = Moments(count=np.full(2, 2.0**52), mean=np.full(2, 1e99), m2=np.zeros(2))
    payload = CODECS["float32"].encode(ModelDelta(params=DELTA.params, moments=made_up))
    norm = float(np.sqrt(np.sum(np.square(DELTA.params, dtype=np.float64))))
    lie = header(tip, payload=digest_of(payload), payload_bytes=len(payload), l2_norm=norm)
    for member in swarm.alive:
        assert not refusals(member.machine.receive(lie.data, payload=payload, source=SOURCE, now=swarm.clock(member)))
    swarm.run(10.0)
    line = swarm.members[0].machine.line()
    assert any(SOURCE in entry.admitted for entry in line if entry.parent == tip.digest)
    for member in swarm.alive:
        assert member.machine.tip.round > tip.round + 1
        state = member.machine.tip.state
        assert state is not None
        assert np.abs(state.moments.mean).max() < 2.0
        assert state.moments.count.max() < 2.0**20
