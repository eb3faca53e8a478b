"""One place in the chain: a manifest whose envelope was checked, and the model after it once that is known."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from peer.peer_ids import peer_id_of
from peer.rounds.departed import Departed
from peer.rounds.grouping import Grouping
from peer.rounds.roster import Roster
from peer.rounds.rules import RoundRules
from peer.rounds.standing import Standing
from peer.types import Digest, ModelSchema, ModelState, PeerId
from peer.wire.envelope import Signed, SignedDelta, SignedManifest
from peer.wire.hashing import model_hash
from peer.wire.messages import DeltaHeader, GroupSeal, Manifest, TopManifest

GENESIS_PARENT = Digest(bytes(32))
_RULES = RoundRules()
"""Of entries outside a chain, which have no rules of their own; the ledger settles those that it holds."""

_peer_id = lru_cache(maxsize=8192)(peer_id_of)


@dataclass(slots=True, kw_only=True)
class Entry:
    """One sealed round, or genesis, with the model after it.

    round, digest, parent, roster, departed, horizon, score, env_steps, stop, model: as in the manifest (genesis:
    derived).

    headers: the admitted ones, verified, sorted by peer id. groups: the group seals that a top manifest admits, in
    order; an entry has either headers or groups. roster, departed, horizon of a top manifest are not in it: they are
    set when it is linked to its parent, from which they follow. state: filled when the entry has been applied.
    manifest: None for genesis alone. standing: what follows from the roster; may be shared.
    """

    round: int
    digest: Digest
    parent: Digest
    roster: Roster
    departed: Departed
    horizon: int
    score: int
    env_steps: int
    stop: str
    model: Digest
    view: int
    headers: tuple[Signed[DeltaHeader], ...]
    manifest: SignedManifest | None
    state: ModelState | None
    groups: tuple[Signed[GroupSeal], ...] = ()
    standing: Standing | None = field(default=None, repr=False, compare=False)

    def settle(self, rules: RoundRules) -> Standing:
        """Work out what follows from the roster by `rules`, unless that is known."""
        if self.standing is None or not self.standing.follows(rules):
            self.standing = Standing(self.digest, self.roster, self.departed, rules)
        return self.standing

    @property
    def members(self) -> frozenset[PeerId]:
        """The peers on the roster."""
        return (self.standing or self.settle(_RULES)).members

    @property
    def electors(self) -> frozenset[PeerId]:
        """The members that decide whether a manifest on this one is final."""
        return (self.standing or self.settle(_RULES)).electors

    @property
    def grouping(self) -> Grouping | None:
        """The groups of the round after this one; None while the swarm is small enough to go without."""
        return (self.standing or self.settle(_RULES)).grouping

    @property
    def deltas(self) -> tuple[SignedDelta, ...]:
        """Whatever moves the model in this round: the admitted headers, or group seals."""
        return self.groups or self.headers

    @property
    def admitted(self) -> frozenset[PeerId]:
        """The peers whose work this round counts."""
        if self.groups:
            return admitted_by(self.groups)
        return frozenset(header.peer for header in self.headers)

    def env_steps_by_peer(self) -> list[tuple[PeerId, int]]:
        """Return the env steps that this round counts for each peer, sorted by peer id within a group."""
        if not self.groups:
            return [(header.peer, header.message.env_steps) for header in self.headers]
        return [
            (peer, member.env_steps)
            for seal in self.groups
            for peer, member in zip(members_of(seal.message), seal.message.members, strict=True)
        ]

    @property
    def sealer(self) -> PeerId | None:
        return self.manifest.peer if self.manifest else None

    def held_of(self, peer: PeerId) -> int:
        """Return the sequence up to which the chain holds the work of `peer`; 0 when it names no such peer."""
        return (self.standing or self.settle(_RULES)).held.get(peer, 0)

    def missed_by(self, peer: PeerId) -> int | None:
        """Return how many rounds in a row a member has missed; None for one that is not on the roster."""
        return (self.standing or self.settle(_RULES)).missed.get(peer)

    def left_in(self, peer: PeerId) -> int | None:
        """Return in which round a peer that has left the roster was last admitted; None for any other."""
        return (self.standing or self.settle(_RULES)).left.get(peer)


def genesis(run: bytes, schema: ModelSchema, config: Digest, state: ModelState) -> Entry:
    """Return round 0, the same on every peer of a run: empty roster, the seeded initial model."""
    model = model_hash(state)
    digest = Digest(hashlib.sha256(b"murmuration genesis 1" + run + schema.digest + config + model).digest())
    return Entry(
        round=0, digest=digest, parent=GENESIS_PARENT, roster=(), departed=(), horizon=0, score=0, env_steps=0, stop="",
        model=model, view=0, headers=(), manifest=None, state=state,
    )  # fmt: skip


def members_of(seal: GroupSeal) -> tuple[PeerId, ...]:
    """Return the peers whose deltas are in a group seal, sorted."""
    return tuple(_peer_id(member.key) for member in seal.members)


def admitted_by(groups: Iterable[Signed[GroupSeal]]) -> frozenset[PeerId]:
    """Return the peers whose deltas are in these group seals."""
    return frozenset(peer for seal in groups for peer in members_of(seal.message))


def entry_of_groups(manifest: Signed[TopManifest], groups: tuple[Signed[GroupSeal], ...]) -> Entry:
    """Wrap a checked top manifest and its group seals; roster and state are not known yet."""
    body = manifest.message
    return Entry(
        round=body.round, digest=manifest.digest, parent=Digest(body.previous), roster=(), departed=(), horizon=0,
        score=body.score, env_steps=body.env_steps, stop=body.stop, model=Digest(body.model), view=body.view,
        headers=(), groups=groups, manifest=manifest, state=None,
    )  # fmt: skip


def entry_of(manifest: Signed[Manifest], headers: tuple[Signed[DeltaHeader], ...]) -> Entry:
    """Wrap a checked manifest and its opened headers; the state is not known yet."""
    body = manifest.message
    return Entry(
        round=body.round, digest=manifest.digest, parent=Digest(body.previous), roster=body.roster,
        departed=body.departed, horizon=body.horizon,
        score=body.score, env_steps=body.env_steps, stop=body.stop, model=Digest(body.model), view=body.view,
        headers=headers, manifest=manifest, state=None,
    )  # fmt: skip


def electorate(parent: Entry, child: Entry) -> frozenset[PeerId]:
    """Return who decides that `child` of `parent` is final: the roster before it, which rivals share; of a large one
    those drawn by its digest.

    After genesis nobody is on the roster yet: then the admitted peers decide, each solo start for itself.
    """
    return parent.electors or child.members
