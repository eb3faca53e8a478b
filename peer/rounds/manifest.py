"""What a sealed round must look like: the one function that sealers build by and everyone else checks by."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from peer.errors import ProtocolError
from peer.peer_ids import short
from peer.rounds.departed import Departed, next_departed
from peer.rounds.entry import Entry, members_of
from peer.rounds.group_seal import check_group_seal
from peer.rounds.quorum import STRICT, is_quorum
from peer.rounds.roster import Admission, Roster, next_roster
from peer.rounds.rules import RoundRules
from peer.rounds.standing import Standing, standing_hash
from peer.types import Digest, PeerId
from peer.wire.envelope import Opener, Signed, SignedDelta, expect, open_envelope
from peer.wire.limits import MAX_COUNT, MAX_LARGE_ROSTER
from peer.wire.messages import DeltaHeader, GroupSeal, Manifest, Rejection, TopManifest

STOP_RETURN = "return"
STOP_ROUNDS = "rounds"
_RULES = RoundRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Everything in a manifest that follows from the round before and the admitted headers."""

    roster: Roster
    departed: Departed
    horizon: int
    score: int
    env_steps: int
    stop: str

    @property
    def keeps_model(self) -> bool:
        """A model that reached the goal is kept as it was measured; the deltas of that round are not applied."""
        return self.stop == STOP_RETURN


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A manifest that was checked: what follows from it, and what follows from its roster."""

    outcome: Outcome
    standing: Standing

    def settle(self, entry: Entry) -> None:
        """Give `entry`, whose manifest it is, what a top manifest does not carry."""
        entry.roster, entry.departed, entry.horizon = self.outcome.roster, self.outcome.departed, self.outcome.horizon
        entry.standing = self.standing


def outcome_of(parent: Entry, deltas: Sequence[SignedDelta], rules: RoundRules) -> Outcome:
    """deltas: the admitted headers, or group seals.

    env_steps stays at MAX_COUNT once it is there: it decides nothing, and no run ends because of what a peer said.
    """
    admitted = _admissions(deltas)
    grouping = parent.settle(rules).grouping
    roster = next_roster(
        parent.roster,
        admitted,
        miss_limit=rules.miss_limit,
        idle=frozenset() if grouping is None else grouping.idle,
    )
    departed, horizon = next_departed(
        parent.departed, parent.horizon, before=parent.roster, after=roster, round_number=parent.round + 1
    )
    return Outcome(
        roster=roster,
        departed=departed,
        horizon=horizon,
        score=parent.score + len(admitted),
        env_steps=min(parent.env_steps + sum(delta.message.env_steps for delta in deltas), MAX_COUNT),
        stop=_stop_reason(parent, deltas, rules),
    )


def _admissions(deltas: Sequence[SignedDelta]) -> dict[PeerId, Admission]:
    admitted: dict[PeerId, Admission] = {}
    for delta in deltas:
        if isinstance(delta.message, DeltaHeader):
            admitted[delta.peer] = Admission(sequence=delta.message.sequence, steps_per_s=delta.message.steps_per_s)
        else:
            for peer, member in zip(members_of(delta.message), delta.message.members, strict=True):
                admitted[peer] = Admission(sequence=member.sequence, steps_per_s=member.steps_per_s)
    return admitted


def agreed_return(deltas: Sequence[SignedDelta]) -> float | None:
    """Return the median greedy return of the base model over the peers that measured it.

    All measure the same bits on the same seeds; the median is what people are told. It ends no run, since whoever seals
    chooses whose measurements are in it (`_stop_reason`).
    """
    measured = [delta.message.eval_return for delta in deltas if delta.message.eval_return is not None]
    return statistics.median_low(measured) if measured else None


def build_manifest(
    parent: Entry,
    headers: Sequence[Signed[DeltaHeader]],
    *,
    sealer: PeerId,
    rejected: Sequence[Rejection],
    outcome: Outcome,
    model: Digest,
    parts: bytes,
    rules: RoundRules = _RULES,
) -> Manifest:
    """Return the manifest that seals the round after `parent`; `headers` are sorted by peer id."""
    return Manifest(
        round=parent.round + 1,
        previous=parent.digest,
        view=view_of(sealer, parent, rules),
        admitted=tuple(header.data for header in headers),
        rejected=tuple(rejected),
        roster=outcome.roster,
        departed=outcome.departed,
        horizon=outcome.horizon,
        score=outcome.score,
        env_steps=outcome.env_steps,
        stop=outcome.stop,
        model=model,
        parts=parts,
    )


def build_top_manifest(
    parent: Entry,
    groups: Sequence[Signed[GroupSeal]],
    *,
    sealer: PeerId,
    rejected: Sequence[Rejection],
    outcome: Outcome,
    model: Digest,
    parts: bytes,
    rules: RoundRules = _RULES,
) -> TopManifest:
    """Return the manifest that seals the round after `parent` of a large swarm; `groups` are in their order."""
    return TopManifest(
        round=parent.round + 1,
        previous=parent.digest,
        view=view_of(sealer, parent, rules),
        groups=tuple(seal.digest for seal in groups),
        rejected=tuple(rejected),
        standing=standing_hash(outcome.roster, outcome.departed, outcome.horizon),
        score=outcome.score,
        env_steps=outcome.env_steps,
        stop=outcome.stop,
        model=model,
        parts=parts,
    )


def view_of(sealer: PeerId, parent: Entry, rules: RoundRules) -> int:
    """Return a peer's place in the line that seals the round after `parent`; outsiders come after all members."""
    standing = parent.settle(rules)
    return standing.ranks.get(sealer, len(standing.line))


def open_headers(manifest: Manifest, *, run: bytes, opener: Opener = open_envelope) -> tuple[Signed[DeltaHeader], ...]:
    """Verify the headers inside a manifest, each with its author's signature.

    opener: `open_envelope`, or one that remembers what it has verified.
    Raises: ProtocolError when one is invalid, not for this round and base, or they are not sorted and distinct.
    """
    headers = tuple(expect(opener(data, run=run), DeltaHeader) for data in manifest.admitted)
    peers = [header.peer for header in headers]
    if peers != sorted(set(peers)):
        raise ProtocolError("bad_manifest", "admitted peers are not sorted and distinct")
    for header in headers:
        if header.message.base != manifest.previous or header.message.round != manifest.round:
            raise ProtocolError("bad_manifest", f"the header of {short(header.peer)} is for another round")
    return headers


def check_manifest(parent: Entry, child: Entry, rules: RoundRules) -> Settled:
    """Return what follows from `child` by the rules, whatever it says itself.

    Raises: ProtocolError `bad_manifest` unless `child` follows from `parent` by the rules.
    """
    expected = outcome_of(parent, child.deltas, rules)
    settled = Settled(outcome=expected, standing=Standing(child.digest, expected.roster, expected.departed, rules))
    sealer = child.sealer
    if sealer is None or child.manifest is None:
        raise ProtocolError("bad_manifest", "a second genesis")
    checks: list[tuple[str, object, object]] = [("round", child.round, parent.round + 1)]
    if isinstance(child.manifest.message, TopManifest):
        want = standing_hash(expected.roster, expected.departed, expected.horizon)
        checks.append(("standing", child.manifest.message.standing, want))
    else:
        checks += [
            ("roster", child.roster, expected.roster),
            ("departed", child.departed, expected.departed),
            ("horizon", child.horizon, expected.horizon),
        ]
    checks += [
        ("score", child.score, expected.score),
        ("env_steps", child.env_steps, expected.env_steps),
        ("stop", child.stop, expected.stop),
        ("view", child.view, view_of(sealer, parent, rules)),
    ]
    for name, got, wanted in checks:
        if got != wanted:
            raise ProtocolError("bad_manifest", f"{name} is {got!r}, the rules give {wanted!r}")
    _check_deltas(parent, child, rules)
    if parent.stop:
        raise ProtocolError("bad_manifest", "the run had already ended")
    if not 0 < len(expected.roster) <= MAX_LARGE_ROSTER:
        raise ProtocolError("bad_manifest", "counters out of range")
    return settled


def _check_deltas(parent: Entry, child: Entry, rules: RoundRules) -> None:
    grouping = parent.settle(rules).grouping
    if (grouping is None) != (not child.groups):
        kind, size = "in groups" if child.groups else "one by one", len(parent.roster)
        raise ProtocolError("bad_manifest", f"deltas were sealed {kind} on a roster of {size}")
    if rules.partition == STRICT and not is_quorum(_contributors(parent, rules), child.admitted):
        raise ProtocolError("bad_manifest", f"{len(child.admitted)} deltas are no majority of the roster")
    for header in child.headers:
        if header.message.sequence <= parent.held_of(header.peer):
            raise ProtocolError("bad_manifest", f"work of {short(header.peer)} that the chain holds already")
    numbers = [seal.message.group for seal in child.groups]
    if numbers != sorted(set(numbers)):
        raise ProtocolError("bad_manifest", "groups are not sorted and distinct")
    for seal in child.groups:
        check_group_seal(parent, seal, rules)


def _contributors(parent: Entry, rules: RoundRules) -> frozenset[PeerId]:
    """Return the members whose work the round after `parent` is for."""
    grouping = parent.settle(rules).grouping
    return parent.members if grouping is None else grouping.contributors


def _stop_reason(parent: Entry, deltas: Sequence[SignedDelta], rules: RoundRules) -> str:
    if rules.stop_return is not None and _is_goal_reached(parent, deltas, goal=rules.stop_return, rules=rules):
        return STOP_RETURN
    if rules.stop_rounds is not None and parent.round + 1 >= rules.stop_rounds:
        return STOP_ROUNDS
    return ""


def _is_goal_reached(parent: Entry, deltas: Sequence[SignedDelta], *, goal: float, rules: RoundRules) -> bool:
    """Return whether more than half of the contributors measured the goal, a group speaking for all its members.

    Never in round 1: nobody is on the roster before it, so whoever seals it would decide alone (docs/adr/0006).
    """
    contributors = _contributors(parent, rules)
    reached: set[PeerId] = set()
    for delta in deltas:
        value = delta.message.eval_return
        if value is not None and value >= goal:
            reached.update(_admissions([delta]))
    return 2 * len(reached & contributors) > len(contributors)
