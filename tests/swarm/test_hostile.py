"""An admitted peer that does its worst: every wrong message is refused by name, and nothing changes."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import peer.rounds.payloads
from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds.effects import Effect, FetchPayload, ModelDiffers, Publish, Refused
from peer.rounds.entry import Entry
from peer.rounds.machine import RoundMachine
from peer.rounds.manifest import build_manifest, outcome_of
from peer.rounds.rules import RoundRules
from peer.rounds.sealer import seal_round
from peer.rounds.snapshot import encode_snapshot
from peer.types import Digest, ModelDelta, Moments, PeerId
from peer.wire.envelope import Signed, seal
from peer.wire.hashing import digest_of
from peer.wire.messages import Ack, DeltaHeader, DepartedEntry, Manifest, RosterEntry, decode_announcement
from peer.wire.sync import SnapshotOffer, SyncResponse, Tip
from tests.swarm.machine_swarm import RUN, MachineSwarm
from tests.swarm.swarm_member import Member

EVIL = Identity.for_tests(2)  # member 1 of the swarm: admitted, on the roster, with a key of its own
SOURCE: PeerId = EVIL.peer_id
DELTA = ModelDelta(params=np.full(6, 1e-3, np.float32), moments=Moments.empty(2))
PAYLOAD = CODECS["float32"].encode(DELTA)


@pytest.fixture
def machine() -> RoundMachine:
    """A machine of three peers in the middle of a run."""
    swarm = MachineSwarm(3, seed=4)
    swarm.run(15.3)
    return swarm.members[0].machine


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


def forged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])  # the signature comes last


def state_of(machine: RoundMachine) -> tuple[object, ...]:
    ledger = machine._ledger
    return machine.tip.digest, len(ledger.chain), len(ledger.votes), len(ledger.payloads), ledger.candidates()


def refusals(effects: list[Effect]) -> list[str]:
    return [effect.reason for effect in effects if isinstance(effect, Refused)]


BAD_MESSAGES: dict[str, tuple[str, Callable[[Entry], bytes]]] = {
    "garbage": ("malformed", lambda _tip: b"garbage"),
    "another run": ("run", lambda tip: seal(header(tip).message, EVIL, run=b"x" * 16).data),
    "header of another round": ("bad_header", lambda tip: header(tip, round=tip.round + 2).data),
    "header with unknown codec": ("codec", lambda tip: header(tip, codec="zip").data),
    "header with huge payload": ("payload_size", lambda tip: header(tip, payload_bytes=1 << 29).data),
    "header that weighs more than its steps": ("bad_header", lambda tip: header(tip, weight=6).data),
    "header with NaN": ("not_finite", lambda tip: header(tip, l2_norm=float("nan")).data),
    "header with infinity": ("not_finite", lambda tip: header(tip, approx_kl=float("inf")).data),
    "header with more steps than anybody makes": ("malformed", lambda tip: header(tip, env_steps=1 << 53).data),
    "header with a statistic near the largest float": ("not_finite", lambda tip: header(tip, approx_kl=1.7e308).data),
    "header whose tasks take four bytes a letter": (
        "malformed", lambda tip: header(tip, tasks=("\U0001f600" * 48,)).data,
    ),
    "manifest without headers": ("malformed", lambda tip: manifest(tip, admitted=()).data),
    "manifest with a wrong score": ("bad_manifest", lambda tip: manifest(tip, score=10**6).data),
    "manifest with a wrong view": ("bad_manifest", lambda tip: manifest(tip, view=77).data),
    "manifest with wrong env steps": ("bad_manifest", lambda tip: manifest(tip, env_steps=1).data),
    "manifest with a wrong stop": ("bad_manifest", lambda tip: manifest(tip, stop="return").data),
    "manifest with another roster": (
        "bad_manifest", lambda tip: manifest(tip, roster=(RosterEntry("x", 0, 1, 1),)).data,
    ),
    "manifest of a skipped round": ("bad_manifest", lambda tip: manifest(tip, round=tip.round + 2).data),
    "manifest admitting one header twice": (
        "bad_manifest", lambda tip: manifest(tip, admitted=(header(tip).data, header(tip).data)).data,
    ),
    "manifest admitting another base": (
        "bad_manifest", lambda tip: manifest(tip, admitted=(header(tip, base=b"b" * 32).data,)).data,
    ),
    "manifest admitting work that the chain holds": (
        "bad_manifest", lambda tip: manifest(tip, [header(tip, sequence=tip.held_of(SOURCE))]).data,
    ),
    "manifest with another horizon": ("bad_manifest", lambda tip: manifest(tip, horizon=1).data),
    "manifest with a departed peer of its own": (
        "bad_manifest", lambda tip: manifest(tip, departed=(DepartedEntry("x", 1, 1),)).data,
    ),
    "manifest admitting garbage": ("malformed", lambda tip: manifest(tip, admitted=(b"junk",)).data),
    "manifest admitting a forged header": (
        "bad_signature", lambda tip: manifest(tip, admitted=(forged(header(tip).data),)).data,
    ),
    "vote with a wrong round": (
        "bad_ack", lambda tip: seal(Ack(tip.round + 3, tip.parent, tip.digest, tip.model, 0), EVIL, run=RUN).data,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "make"), BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys())
def test_bad_message_is_refused_by_name_and_changes_nothing(
    machine: RoundMachine, reason: str, make: Callable[[Entry], bytes]
) -> None:
    before = state_of(machine)
    data = make(machine.tip)
    for _ in range(2):  # the second time it comes out of the cache of verified envelopes
        assert refusals(machine.receive(data, payload=None, source=SOURCE, now=15.3)) == [reason]
    assert state_of(machine) == before


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


def fetched(effects: list[Effect]) -> list[FetchPayload]:
    return [effect for effect in effects if isinstance(effect, FetchPayload)]


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


def test_older_sequence_neither_replaces_nor_refuses(machine: RoundMachine) -> None:
    new, old = header(machine.tip, sequence=1 << 41), header(machine.tip, sequence=1 << 39)
    for signed in (new, old, old):
        assert refusals(machine.receive(signed.data, payload=PAYLOAD, source=SOURCE, now=15.3)) == []
    held = {signed.peer: signed.digest for signed in machine._ledger.pool.on_base(machine.tip.digest)}
    assert held[SOURCE] == new.digest


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


def two_authors(tip: Entry) -> list[Signed[DeltaHeader]]:
    """Return headers of two of the three members: enough for a manifest to be looked at (docs/adr/0076)."""
    other = seal(header(tip).message, Identity.for_tests(3), run=RUN)
    return sorted([header(tip), other], key=lambda signed: signed.peer)


def test_manifest_with_a_wrong_model_is_distrusted_and_never_followed(machine: RoundMachine) -> None:
    tip = machine.tip
    for signed in two_authors(tip):
        machine.receive(signed.data, payload=PAYLOAD, source=SOURCE, now=15.3)
    wrong = manifest(tip, two_authors(tip))
    effects = machine.receive(wrong.data, payload=None, source=SOURCE, now=15.3)
    assert isinstance(effects[0], ModelDiffers)
    assert effects[0].parts == (), "the hints are no more trustworthy than the rest"
    assert machine.tip is tip
    assert not machine._follower.repairing
    assert machine.receive(wrong.data, payload=None, source=SOURCE, now=15.3) == []


@pytest.mark.parametrize("first", ["manifest", "votes"])
def test_own_state_is_distrusted_once_a_majority_got_the_other_model(machine: RoundMachine, first: str) -> None:
    tip = machine.tip
    for signed in two_authors(tip):
        machine.receive(signed.data, payload=PAYLOAD, source=SOURCE, now=15.3)
    wrong = manifest(tip, two_authors(tip))
    vote = Ack(tip.round + 1, tip.digest, wrong.digest, wrong.message.model, tip.round)
    said = [seal(vote, Identity.for_tests(number), run=RUN).data for number in (2, 3)]
    said.insert(0 if first == "manifest" else 2, wrong.data)
    told = [machine.receive(data, payload=None, source=SOURCE, now=15.3) for data in said]
    repairs = [[effect.repairing for effect in effects if isinstance(effect, ModelDiffers)] for effects in told]
    assert repairs == ([[False], [], [True]] if first == "manifest" else [[], [], [True]])
    assert machine.sync_request().recent == (), "it asks as if it held nothing, so that a snapshot is offered"
    assert not any(isinstance(effect, Publish) for effect in machine.tick(100.0)), "it seals nothing on a wrong state"


def test_snapshots_that_lie_are_refused(machine: RoundMachine) -> None:
    tip = machine.tip
    good = encode_snapshot(tip)
    offer = SnapshotOffer(Tip(b"t" * 32, 99, 999), digest_of(good), 1 << 29)
    response = SyncResponse(Tip(b"t" * 32, 99, 999), (), offer)
    assert refusals(machine.receive_sync(response, source=SOURCE, now=15.3)) == ["oversize"]
    for position in range(0, len(good), 7):
        spoilt = bytearray(good)
        spoilt[position] ^= 1
        assert len(refusals(machine.receive_snapshot(digest_of(good), bytes(spoilt), source=SOURCE, now=15.3))) == 1
    assert refusals(machine.receive_snapshot(digest_of(good), bytes(1 << 23), source=SOURCE, now=15.3)) == ["oversize"]
    assert machine.tip is tip


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


def test_own_header_that_was_lost_is_announced_again() -> None:
    swarm = MachineSwarm(3, seed=4)
    swarm.run(15.3)
    machine = swarm.members[0].machine
    while machine._ledger.me not in machine._ledger.pool.peers_on(machine.tip.digest):
        swarm.run(0.01)
    [own] = [held for held in machine._ledger.pool.on_base(machine.tip.digest) if held.peer == machine._ledger.me]
    machine._ledger.pool.forget(keep=())
    [published] = [effect for effect in machine.tick(swarm.now) if isinstance(effect, Publish)]
    assert decode_announcement(published.data).envelope == own.data
    assert machine._ledger.me in machine._ledger.candidate_peers()
    assert not [effect for effect in machine.tick(swarm.now) if isinstance(effect, Publish)]


@settings(max_examples=60)
@given(position=st.integers(0, 5000), flip=st.integers(1, 255), which=st.integers(0, 2))
def test_mutated_real_messages_never_crash_nor_enter(position: int, flip: int, which: int) -> None:
    swarm = MachineSwarm(2, seed=4)
    swarm.run(5.0)
    victim = swarm.members[0].machine
    tip = victim.tip
    ack = seal(Ack(tip.round, tip.parent, tip.digest, tip.model, 0), EVIL, run=RUN)
    data = bytearray((header(tip).data, manifest(tip).data, ack.data)[which])
    data[position % len(data)] ^= flip
    before = state_of(victim)
    assert len(refusals(victim.receive(bytes(data), payload=None, source=SOURCE, now=5.0))) == 1
    assert state_of(victim) == before


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
