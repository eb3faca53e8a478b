"""Large swarms: who is in which group, what a group's seal must be, and that two levels give one exact model."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.aggregation.registry import RULES
from peer.aggregation.step import aggregator
from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.rounds.entry import Entry, members_of
from peer.rounds.group_seal import MAX_LEAP, check_group_seal
from peer.rounds.grouping import Grouping, num_rows
from peer.rounds.roster import Admission, next_roster, seal_order
from peer.rounds.rules import RoundRules
from peer.rounds.sealed_rounds import decode_sealed, encode_sealed
from peer.rounds.snapshot import decode_snapshot, encode_snapshot
from peer.rounds.standing import Standing
from peer.types import Contribution, Digest, ModelDelta, ModelState, Moments, PeerId
from peer.wire.envelope import Signed, open_envelope, seal
from peer.wire.limits import MAX_GROUP_SEAL_BYTES, MAX_GROUPS, MAX_TOP_MANIFEST_BYTES
from peer.wire.messages import GroupMember, GroupSeal, Rejection, RosterEntry, TopManifest
from tests.swarm.machine_swarm import RUN, SCHEMA, MachineSwarm

RULE = RoundRules(flat_peers=3, group_peers=3)
GOLDEN = {"mean": "4f4843166d25c79a", "clipped-mean": "0614e41f8dacc3e3"}


def line_of(count: int, digest: Digest) -> list[PeerId]:
    return seal_order(digest, [PeerId(f"p{number:05d}") for number in range(count)])


@given(st.integers(4, 6000), st.binary(min_size=32, max_size=32))
@settings(max_examples=60)
def test_every_contributor_is_in_one_group_and_groups_are_alike_in_size(count: int, raw: bytes) -> None:
    rules, digest = RoundRules(flat_peers=3), Digest(raw)
    line = line_of(count, digest)
    grouping = Grouping(digest, line, rules)
    placed = [peer for group in grouping.groups for peer in group]
    assert len(placed) == len(set(placed)) == (count if count <= rules.grouped_peers else rules.committee_peers)
    assert set(placed) | grouping.idle == set(line)
    sizes = [len(group) for group in grouping.groups]
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) <= MAX_GROUPS
    assert max(sizes) <= 32, "so that a group's deltas fit the kernels, with room for strangers"
    for number, group in enumerate(grouping.groups):
        assert [grouping.group_of(peer) for peer in group] == [number] * len(group)
        assert [grouping.rank_of(peer) for peer in group] == list(range(len(group)))
    stranger = PeerId("stranger")
    assert grouping.rank_of(stranger) == len(grouping.groups[grouping.group_of(stranger)]), "after all members"
    assert {grouping.rank_of(peer) for peer in grouping.idle} <= {None}
    assert grouping.in_turn([stranger, *line], group=grouping.group_of(stranger))[-1] == stranger


def test_another_digest_deals_the_peers_out_anew() -> None:
    groups = {
        Grouping(digest, line_of(96, digest), RoundRules()).groups[0]
        for digest in (Digest(bytes([number]) * 32) for number in range(16))
    }
    assert len({frozenset(group) for group in groups}) == 16


def test_up_to_48_there_are_no_groups_and_all_vote() -> None:
    def standing(count: int) -> Standing:
        roster = tuple(RosterEntry(f"p{number:05d}", 0, 1, 1) for number in range(count))
        return Standing(Digest(bytes(32)), roster, (), RoundRules())

    assert standing(48).grouping is None
    assert len(standing(48).electors) == 48
    assert standing(49).grouping is not None
    assert len(standing(1000).electors) == 64


def test_members_that_were_not_drawn_miss_nothing() -> None:
    roster = tuple(RosterEntry(name, 0, 1, 1) for name in ("a", "b", "c"))
    admitted = {PeerId("a"): Admission(sequence=2, steps_per_s=1)}
    after = next_roster(roster, admitted, miss_limit=2, idle={PeerId("c")})
    assert [(entry.peer, entry.missed) for entry in after] == [("a", 0), ("b", 1), ("c", 0)]


# The aggregate


def contributions(count: int, seed: int = 1, size: int = 40) -> list[Contribution]:
    rng = np.random.default_rng(seed)
    return [
        Contribution(
            weight=int(rng.integers(1, 1000)),
            delta=ModelDelta(
                params=rng.normal(size=size).astype(np.float32),
                moments=Moments(count=np.full(2, 3.0), mean=rng.normal(size=2), m2=rng.random(2)),
            ),
            peer=PeerId(f"p{number:03d}"),
        )
        for number in range(count)
    ]


def in_groups(rule: str, parts: list[Contribution], base: ModelState, *, weights: str = "env-steps") -> ModelState:
    step = aggregator(rule, weights=weights)
    groups = [replace(step.group(parts[start::3], bytes(32)), peer=parts[start].peer) for start in range(3)]
    return step.of_groups(base, groups, bytes(32))


def base_state(size: int = 40) -> ModelState:
    return ModelState(params=np.zeros(size, np.float32), moments=Moments.empty(2))


def test_the_mean_of_group_means_is_the_mean() -> None:
    parts, base = contributions(17), base_state()
    flat = aggregator("mean", weights="env-steps")(base, parts, bytes(32))
    grouped = in_groups("mean", parts, base)
    weights = np.asarray([part.weight for part in parts], np.float64)
    exact = (weights[:, None] * np.stack([part.delta.params for part in parts])).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(grouped.params, exact, atol=2e-7)  # a float32 rounding a level
    np.testing.assert_allclose(grouped.params, flat.params, atol=4e-7)
    np.testing.assert_allclose(grouped.moments.mean, flat.moments.mean, rtol=1e-12)
    assert (grouped.moments.count == flat.moments.count).all()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_any_rule_gives_the_same_bytes_whatever_the_order(rule: str) -> None:
    parts, base, step = contributions(24), base_state(), aggregator(rule)
    first = step.group(parts[:8], bytes(32))
    again = step.group(parts[:8][::-1], bytes(32))
    assert first.delta.params.tobytes() == again.delta.params.tobytes()
    assert first.delta.moments.mean.tobytes() == again.delta.moments.mean.tobytes()
    groups = [replace(step.group(parts[i : i + 8], bytes(32)), peer=parts[i].peer) for i in (0, 8, 16)]
    assert step.of_groups(base, groups).params.tobytes() == step.of_groups(base, groups[::-1]).params.tobytes()


def test_groups_of_equal_peers_count_by_their_size() -> None:
    step = aggregator("mean", weights="equal")
    ones = [replace(part, delta=replace(part.delta, params=np.ones(40, np.float32))) for part in contributions(3)]
    zeros = [replace(part, delta=replace(part.delta, params=np.zeros(40, np.float32))) for part in contributions(6)]
    groups = [replace(step.group(ones), peer=PeerId("a")), replace(step.group(zeros), peer=PeerId("b"))]
    assert [group.weight for group in groups] == [3, 6]
    np.testing.assert_allclose(step.of_groups(base_state(), groups).params, 1 / 3, atol=1e-6)


# Group seals


@pytest.fixture(scope="module")
def swarm() -> MachineSwarm:
    """Nine peers in three groups, in the middle of a run."""
    swarm = MachineSwarm(9, seed=4, rules=RULE)
    swarm.run(14.0)
    return swarm


def parent_and_entry(swarm: MachineSwarm) -> tuple[Entry, Entry]:
    line = swarm.members[0].machine.line()
    return line[-2], line[-1]


def test_all_peers_contribute_in_groups_and_hold_the_same_model(swarm: MachineSwarm) -> None:
    parent, entry = parent_and_entry(swarm)
    assert entry.manifest is not None
    assert isinstance(entry.manifest.message, TopManifest)
    assert len(entry.groups) == 3
    assert len(entry.admitted) == 9
    assert len({member.machine.line()[-2].digest for member in swarm.members}) <= 2
    for seal_ in entry.groups:
        check_group_seal(parent, seal_, RULE)
    assert [member.refused for member in swarm.members] == [[]] * 9


Change = Callable[[Signed[GroupSeal], Entry, MachineSwarm], Signed[GroupSeal]]


def resealed(signed: Signed[GroupSeal], swarm: MachineSwarm, **changes: object) -> Signed[GroupSeal]:
    return seal(msgspec.structs.replace(signed.message, **changes), swarm.by_id[signed.peer].identity, run=RUN)


def of_members(signed: Signed[GroupSeal], swarm: MachineSwarm, members: tuple[GroupMember, ...]) -> Signed[GroupSeal]:
    return resealed(signed, swarm, members=members, env_steps=sum(member.env_steps for member in members))


def stranger_beside(parent: Entry, group: int) -> Identity:
    """Return somebody who is not on the roster, and belongs to another group."""
    assert parent.grouping is not None
    others = (Identity.for_tests(number) for number in range(70, 99))
    return next(other for other in others if parent.grouping.group_of(other.peer_id) != group)


BAD: dict[str, Change] = {
    "another round": lambda s, _, w: resealed(s, w, round=s.message.round + 1),
    "another base": lambda s, _, w: resealed(s, w, base=bytes(32)),
    "no such group": lambda s, _, w: resealed(s, w, group=40),
    "a group that is not its own": lambda s, _, w: resealed(s, w, group=(s.message.group + 1) % 3),
    "a stranger of another group": lambda s, p, _: seal(s.message, stranger_beside(p, s.message.group), run=RUN),
    "env steps": lambda s, _, w: resealed(s, w, env_steps=s.message.env_steps + 1),
    "weight": lambda s, _, w: resealed(s, w, weight=s.message.env_steps + 1),
    "members twice": lambda s, _, w: of_members(s, w, s.message.members[:1] * 2),
    "members out of order": lambda s, _, w: of_members(s, w, s.message.members[::-1]),
    "work that the chain holds": lambda s, p, w: of_members(
        s, w, (msgspec.structs.replace(s.message.members[0], sequence=p.held_of(members_of(s.message)[0])),)
    ),
    "a leap": lambda s, _, w: of_members(
        s, w, (msgspec.structs.replace(s.message.members[0], sequence=2 * MAX_LEAP + (1 << 30)),)
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_seal_that_cannot_be_is_refused(swarm: MachineSwarm, name: str) -> None:
    parent, entry = parent_and_entry(swarm)
    with pytest.raises(ProtocolError) as refused:
        check_group_seal(parent, BAD[name](entry.groups[0], parent, swarm), RULE)
    assert refused.value.reason == "bad_group"


def test_members_of_other_groups_are_refused(swarm: MachineSwarm) -> None:
    parent, entry = parent_and_entry(swarm)
    stolen = of_members(entry.groups[0], swarm, entry.groups[1].message.members)
    with pytest.raises(ProtocolError, match="is not of group"):
        check_group_seal(parent, stolen, RULE)


def test_the_journal_keeps_a_round_with_its_group_seals(swarm: MachineSwarm) -> None:
    _, entry = parent_and_entry(swarm)
    data = encode_sealed(entry)
    again = decode_sealed(data, run=RUN)
    assert (again.digest, again.groups, again.admitted) == (entry.digest, entry.groups, entry.admitted)
    envelopes = msgspec.msgpack.decode(data)
    with pytest.raises(ProtocolError, match="not those that it names"):
        decode_sealed(msgspec.msgpack.encode(envelopes[:-1]), run=RUN)
    flat = swarm.chain(entry)[0]
    assert flat.manifest is not None
    assert encode_sealed(flat) == flat.manifest.data, "a manifest that says everything is kept as it is"
    assert decode_sealed(flat.manifest.data, run=RUN).digest == flat.digest


def test_a_snapshot_carries_the_roster_that_its_manifest_hashes(swarm: MachineSwarm) -> None:
    _, entry = parent_and_entry(swarm)
    data = encode_snapshot(entry)
    again = decode_snapshot(data, run=RUN, schema=SCHEMA)
    assert (again.roster, again.departed, again.horizon) == (entry.roster, entry.departed, entry.horizon)
    fields = msgspec.msgpack.decode(data)
    roster, departed, horizon = msgspec.msgpack.decode(fields[-1])
    fields[-1] = msgspec.msgpack.encode((roster[1:], departed, horizon))
    with pytest.raises(ProtocolError) as refused:
        decode_snapshot(msgspec.msgpack.encode(fields), run=RUN, schema=SCHEMA)
    assert refused.value.reason == "standing"


def test_the_largest_seal_and_top_manifest_keep_their_bounds() -> None:
    me, far = Identity.for_tests(1), (1 << 53) - 1
    members = tuple(GroupMember(bytes([n]) * 32, bytes(16), far, 1 << 46, far) for n in range(64))
    rejected = Rejection(bytes(32), me.peer_id, "no_payload")
    body = GroupSeal(
        round=1 << 40, base=bytes(32), group=63, payload=bytes(32), payload_bytes=1 << 30, codec="topk-int8+zstd..",
        env_steps=far, weight=far, l2_norm=1.0, approx_kl=1.0, mean_return=1.0, eval_return=1.0, members=members,
        rejected=(rejected,) * 16,
    )  # fmt: skip
    signed = seal(body, me, run=RUN)
    assert len(signed.data) <= MAX_GROUP_SEAL_BYTES
    assert open_envelope(signed.data, run=RUN).message == body
    top = TopManifest(
        round=1 << 40, previous=bytes(32), view=far, groups=(bytes(32),) * 64, rejected=(rejected,) * 64,
        standing=bytes(32), score=far, env_steps=far, stop="return", model=bytes(32), parts=bytes(512),
    )  # fmt: skip
    assert len(seal(top, me, run=RUN).data) <= MAX_TOP_MANIFEST_BYTES


@pytest.mark.parametrize("rule", sorted(GOLDEN))
def test_golden_hash_of_a_round_in_groups(rule: str) -> None:
    rng = np.random.default_rng(7)
    base = replace(base_state(), params=rng.normal(size=40).astype(np.float32))
    first, *others = contributions(30, seed=7)
    long = replace(first, delta=replace(first.delta, params=np.float32(9.0) * first.delta.params))
    state = in_groups(rule, [long, *others], base, weights="capped")
    assert hashlib.sha256(state.params.tobytes() + state.moments.m2.tobytes()).hexdigest()[:16] == GOLDEN[rule]


@pytest.mark.parametrize("peers", [1, 48, 49, 72, 500, 2048, 2049, 5000])
def test_a_manifest_averages_as_many_rows_as_there_are_peers_or_groups(peers: int) -> None:
    rules = RoundRules()
    line = [PeerId(f"peer {number}") for number in range(peers)]
    rows = peers if peers <= rules.flat_peers else len(Grouping(Digest(bytes(32)), line, rules).groups)
    assert num_rows(peers, rules) == rows
