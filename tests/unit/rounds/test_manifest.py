"""What makes a manifest valid: each rule alone, in manifests that keep all the others, as a liar can make them up."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.rounds.entry import Entry, entry_of
from peer.rounds.manifest import Settled, build_manifest, check_manifest, open_headers, outcome_of
from peer.rounds.quorum import STRICT
from peer.rounds.rules import RoundRules
from peer.types import Digest
from peer.wire.envelope import Signed, seal
from peer.wire.limits import MAX_COUNT
from peer.wire.messages import DeltaHeader, DepartedEntry, Manifest, RosterEntry
from tests.unit.services.chains import ME, RUN, first_entry

HASH = Digest(b"h" * 32)
MEMBERS = sorted((Identity.for_tests(number) for number in range(1, 6)), key=lambda member: member.peer_id)
OUTSIDER = Identity.for_tests(9)
HELD = 7
RULES = RoundRules()


def parent_of(*, members: Sequence[Identity] = MEMBERS, **changes: object) -> Entry:
    """Return a round that these were on, of whose work the chain holds HELD."""
    roster = tuple(RosterEntry(member.peer_id, 0, 50, HELD) for member in members)
    entry = replace(first_entry(), round=4, score=20, env_steps=2000, digest=HASH, roster=roster, horizon=2)
    return replace(entry, **changes)  # type: ignore[arg-type]  # fields of an entry


def header(parent: Entry, author: Identity, **changes: object) -> Signed[DeltaHeader]:
    body = DeltaHeader(
        round=parent.round + 1, base=parent.digest, sequence=HELD + 1, payload=HASH, payload_bytes=10, codec="float32",
        env_steps=100, weight=100, steps_per_s=50, l2_norm=1.0, approx_kl=0.0, mean_return=None, eval_return=None,
        tasks=(),
    )  # fmt: skip
    return seal(msgspec.structs.replace(body, **changes), author, run=RUN)


def manifest_of(
    parent: Entry, headers: Sequence[Signed[DeltaHeader]], *, sealer: Identity = ME, rules: RoundRules = RULES
) -> Manifest:
    """Return one in which all that follows from the headers is as it must be, whatever the headers are."""
    outcome = outcome_of(parent, headers, rules)
    return build_manifest(
        parent, headers, sealer=sealer.peer_id, rejected=(), outcome=outcome, model=HASH, parts=b"", rules=rules
    )


def check(parent: Entry, manifest: Manifest, *, sealer: Identity = ME, rules: RoundRules = RULES) -> Settled:
    """As whoever receives it does: its headers first."""
    headers = open_headers(manifest, run=RUN)
    return check_manifest(parent, entry_of(seal(manifest, sealer, run=RUN), headers), rules)


def refused(parent: Entry, manifest: Manifest, *, why: str, sealer: Identity = ME, rules: RoundRules = RULES) -> None:
    with pytest.raises(ProtocolError, match=why) as caught:
        check(parent, manifest, sealer=sealer, rules=rules)
    assert caught.value.reason == "bad_manifest"


def test_what_follows_from_a_round_is_counted_from_the_one_before() -> None:
    parent = parent_of()
    headers = [header(parent, member) for member in MEMBERS[:3]]
    manifest = manifest_of(parent, headers)
    settled = check(parent, manifest)
    assert (manifest.round, manifest.previous, manifest.score, manifest.env_steps) == (5, HASH, 23, 2300)
    assert [(entry.peer, entry.missed, entry.sequence) for entry in settled.outcome.roster] == [
        (member.peer_id, int(at > 2), HELD + (at < 3)) for at, member in enumerate(MEMBERS)
    ]


def test_who_misses_a_third_round_leaves_with_what_the_chain_holds_of_it() -> None:
    parent = parent_of()
    missed = tuple(msgspec.structs.replace(entry, missed=2) for entry in parent.roster[:1]) + parent.roster[1:]
    parent = parent_of(roster=missed)
    manifest = manifest_of(parent, [header(parent, member) for member in MEMBERS[2:]])
    assert [entry.peer for entry in manifest.roster] == [member.peer_id for member in MEMBERS[1:]]
    assert manifest.departed == (DepartedEntry(MEMBERS[0].peer_id, HELD, 2),)
    check(parent, manifest)


def test_who_was_not_drawn_for_a_round_has_not_missed_it() -> None:
    parent, rules = parent_of(), RoundRules(flat_peers=2, group_peers=2, grouped_peers=4, committee_peers=3)
    grouping = parent.settle(rules).grouping
    assert grouping is not None
    assert len(grouping.idle) == 2
    roster = outcome_of(parent, [header(parent, OUTSIDER)], rules).roster
    missed = {entry.peer: entry.missed for entry in roster if entry.peer != OUTSIDER.peer_id}
    assert missed == {member.peer_id: int(member.peer_id not in grouping.idle) for member in MEMBERS}


@pytest.mark.parametrize(
    "change",
    [
        {"round": 6},
        {"view": 5},
        {"roster": (RosterEntry(ME.peer_id, 0, 50, HELD + 1),)},
        {"departed": (DepartedEntry("gone", 1, 1),)},
        {"horizon": 3},
        {"score": 22},
        {"score": 24},
        {"env_steps": 2299},
        {"stop": "rounds"},
        {"stop": "return"},
    ],
    ids=str,
)
def test_what_does_not_follow_is_refused_by_its_name(change: dict[str, object]) -> None:
    parent = parent_of()
    headers = tuple(header(parent, member, round=change.get("round", 5)) for member in MEMBERS[:3])
    manifest = msgspec.structs.replace(manifest_of(parent, headers), **change)
    refused(parent, manifest, why=f"{next(iter(change))} is ")


def test_headers_stand_in_order_and_once_each() -> None:
    parent = parent_of()
    first, second, third = (header(parent, member) for member in MEMBERS[:3])
    again = header(parent, MEMBERS[0], sequence=HELD + 2)
    check(parent, manifest_of(parent, (first, second, third)))
    for wrong in ((second, first, third), (first, first, second), (first, again, second)):
        refused(parent, manifest_of(parent, wrong), why="not sorted and distinct")


@pytest.mark.parametrize("change", [{"round": 4}, {"round": 6}, {"base": b"o" * 32}], ids=str)
def test_headers_are_for_this_round_and_on_this_base(change: dict[str, object]) -> None:
    parent = parent_of()
    headers = (header(parent, MEMBERS[0]), header(parent, MEMBERS[1], **change))
    refused(parent, manifest_of(parent, headers), why="is for another round")


def test_headers_are_signed_by_their_authors() -> None:
    parent = parent_of()
    good = header(parent, MEMBERS[0])
    manifest = msgspec.structs.replace(manifest_of(parent, (good,)), admitted=(good.data[:-1] + b"x",))
    with pytest.raises(ProtocolError) as caught:
        check(parent, manifest)
    assert caught.value.reason == "bad_signature"


@pytest.mark.parametrize("sequence", [HELD, HELD - 1, 0])
def test_work_that_the_chain_holds_is_not_taken_once_more(sequence: int) -> None:
    parent = parent_of()
    check(parent, manifest_of(parent, [header(parent, MEMBERS[0], sequence=HELD + 1)]))
    headers = [header(parent, MEMBERS[0], sequence=sequence)]
    refused(parent, manifest_of(parent, headers), why="that the chain holds already")


def test_work_that_the_chain_holds_of_one_that_has_left_is_not_taken_once_more() -> None:
    parent = parent_of(departed=(DepartedEntry(OUTSIDER.peer_id, HELD, 3),))
    check(parent, manifest_of(parent, [header(parent, OUTSIDER)]))
    headers = [header(parent, OUTSIDER, sequence=HELD)]
    refused(parent, manifest_of(parent, headers), why="that the chain holds already")


@pytest.mark.parametrize("sealer", [*MEMBERS, OUTSIDER])
def test_the_view_is_the_place_of_whoever_signs(sealer: Identity) -> None:
    parent = parent_of()
    manifest = manifest_of(parent, [header(parent, MEMBERS[0])], sealer=sealer)
    check(parent, manifest, sealer=sealer)
    assert (manifest.view == len(MEMBERS)) is (sealer is OUTSIDER)
    other = MEMBERS[0] if sealer is not MEMBERS[0] else MEMBERS[1]
    refused(parent, manifest, sealer=other, why="view is ")


def test_nothing_follows_a_stop() -> None:
    parent = parent_of(stop="rounds")
    refused(parent, manifest_of(parent, [header(parent, MEMBERS[0])]), why="had already ended")


@pytest.mark.parametrize(("admitted", "is_taken"), [(2, False), (3, True)])
def test_in_strict_mode_a_majority_of_the_roster_is_needed(admitted: int, *, is_taken: bool) -> None:
    parent, strict = parent_of(), RoundRules(partition=STRICT)
    manifest = manifest_of(parent, [header(parent, member) for member in MEMBERS[:admitted]], rules=strict)
    if is_taken:
        check(parent, manifest, rules=strict)
    else:
        refused(parent, manifest, rules=strict, why="2 deltas are no majority of the roster")


def test_a_large_roster_is_not_sealed_one_by_one() -> None:
    many = sorted((Identity.for_tests(number) for number in range(1, 50)), key=lambda member: member.peer_id)
    parent = parent_of(members=many[:48])
    check(parent, manifest_of(parent, [header(parent, many[0])]))
    parent = parent_of(members=many)
    refused(parent, manifest_of(parent, [header(parent, many[0])]), why="sealed one by one on a roster of 49")


def test_env_steps_stay_at_their_bound() -> None:
    parent = parent_of(env_steps=MAX_COUNT - 1)
    manifest = manifest_of(parent, [header(parent, MEMBERS[0])])
    assert manifest.env_steps == MAX_COUNT
    check(parent, manifest)


@pytest.mark.parametrize(("stop_rounds", "stop"), [(4, "rounds"), (5, "rounds"), (6, "")])
def test_a_run_ends_in_its_last_round(stop_rounds: int, stop: str) -> None:
    parent, rules = parent_of(), RoundRules(stop_rounds=stop_rounds)
    manifest = manifest_of(parent, [header(parent, MEMBERS[0])], rules=rules)
    assert manifest.stop == stop
    check(parent, manifest, rules=rules)


@pytest.mark.parametrize(
    ("returns", "stop"),
    [
        ((9.0, 9.0, 9.0), "return"),
        ((9.0, 9.0, 8.9), ""),
        ((9.0, 9.0, None), ""),
        ((9.0, 9.0, 8.9, 8.9, 9.0), "return"),
    ],
)
def test_a_run_ends_by_return_when_more_than_half_of_the_roster_measured_it(
    returns: tuple[float | None, ...], stop: str
) -> None:
    parent, rules = parent_of(), RoundRules(stop_return=9.0)
    headers = [header(parent, member, eval_return=value) for member, value in zip(MEMBERS, returns, strict=False)]
    assert manifest_of(parent, headers, rules=rules).stop == stop


def test_measurements_of_outsiders_end_no_run() -> None:
    parent, rules = parent_of(), RoundRules(stop_return=9.0)
    outsiders = [Identity.for_tests(number) for number in range(20, 30)]
    authors = sorted([*MEMBERS[:2], *outsiders], key=lambda author: author.peer_id)
    assert manifest_of(parent, [header(parent, each, eval_return=9.0) for each in authors], rules=rules).stop == ""
