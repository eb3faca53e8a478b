"""Everything of the run that one peer holds: the tree of manifests, headers, payloads, votes, and its own pieces."""

from collections.abc import Iterable, Sequence, Set

from peer.rounds.candidates import Candidates
from peer.rounds.chain import Chain
from peer.rounds.effects import PieceDropped
from peer.rounds.eligibility import Eligibility
from peer.rounds.entry import Entry, electorate
from peer.rounds.group_candidates import GroupCandidates
from peer.rounds.group_pool import GroupPool
from peer.rounds.grouping import Grouping
from peer.rounds.headers import HeaderPool
from peer.rounds.memo import Memo
from peer.rounds.missing_payloads import MissingPayloads
from peer.rounds.own_learning import OwnLearning
from peer.rounds.parts import Parts
from peer.rounds.payloads import PayloadStore, is_same_claim
from peer.rounds.support import Decisions
from peer.rounds.votes import VoteBook
from peer.types import Contribution, Digest, ModelState, PeerId
from peer.wire.envelope import Signed, SignedDelta
from peer.wire.limits import MAX_ADMITTED
from peer.wire.messages import DeltaHeader


class Ledger:
    """The tables, the questions that need several of them, and what is forgotten when the window moves."""

    def __init__(self, parts: Parts, root: Entry) -> None:
        self.parts = parts
        self.me = parts.signer.peer_id
        root.settle(parts.rules)
        self.chain = Chain(root)
        self.pool = HeaderPool(is_near=self._is_near, is_member=self._is_member)
        self.groups = GroupPool(is_near=self._is_near)
        self.votes = VoteBook(is_elector=self.is_elector)
        self._electors_memo = Memo[frozenset[PeerId]]()
        self.payloads = PayloadStore(parts.codecs, parts.schema, parts.pure)
        self.own = OwnLearning(self.me, self.chain)
        self.eligibility = Eligibility(self.me)
        self._candidates = Candidates(self.pool, self.payloads, self.eligibility, is_of_own_group=self.is_of_own_group)
        self.decisions = Decisions()
        self.missing = MissingPayloads(self.chain, self.payloads)
        self._lost = (0, 0)
        self.announced: bytes = b""  # hash of the payload that this peer announced last, which it may announce again
        self._own_group = 0
        self._mates: frozenset[PeerId] = frozenset()
        self._own_group_key: Digest | None = None
        self.group_candidates = GroupCandidates(self)

    @property
    def tip(self) -> Entry:
        return self.chain.tip

    @property
    def grouping(self) -> Grouping | None:
        """The groups of the round in progress; None while the swarm is small enough to go without."""
        return self.tip.grouping

    @property
    def work_version(self) -> tuple[Digest, int]:
        """A value that differs whenever tip, tree, headers, group seals, payloads or the allow-list do; votes left out.

        A sum, because each of the numbers only grows while the tip stays.
        """
        chain = self.chain
        works = self.pool.version + self.groups.version + self.payloads.version
        return chain.tip.digest, works + chain.version + self.eligibility.version

    def line(self) -> list[Entry]:
        """Return the chain from the oldest entry kept to the tip."""
        return self.chain.line_to(self.tip)

    def candidates(self) -> list[Signed[DeltaHeader]]:
        """Return the headers that a manifest on the tip, or the own group's seal, could admit now, sorted by peer."""
        return self._candidates.headers(self.chain.tip)

    def candidate_peers(self) -> Set[PeerId]:
        """Return whose headers those are. Cheap; a view that may change with the next call."""
        return self._candidates.peers(self.chain.tip)

    @property
    def candidates_version(self) -> tuple[Digest, int]:
        """A value that differs whenever the candidates do, or the headers that wait for a payload."""
        tip = self.chain.tip
        return tip.digest, self._candidates.version(tip)

    def lacks_payloads(self) -> bool:
        """Return whether a header or a group seal on the tip, or a manifest in the tree, lacks a payload."""
        return (
            bool(self.headers_without_payload())
            or self.missing.num_applicable_beside_tip() < len(self.chain.beside_tip())
            or bool(self.group_candidates.without_payload())
        )

    def headers_without_payload(self) -> list[Signed[DeltaHeader]]:
        """Return the headers that could be candidates if their payload were held, sorted by peer id."""
        return self._candidates.waiting(self.chain.tip)

    def discard_votes(self, peer: PeerId) -> None:
        """Count no vote of a peer that is proven to contradict itself; what was decided is counted again."""
        self.votes.discard(peer)
        self.decisions.forget()

    def is_elector(self, peer: PeerId) -> bool:
        """Return whether the vote of `peer` can decide anything that goes on from what was applied here."""
        chain = self.chain
        return peer in self._electors_memo.get((chain, chain.version, chain.tip.digest), self._electors_of_applied)

    def _electors_of_applied(self) -> frozenset[PeerId]:
        return frozenset[PeerId]().union(*(entry.electors for entry in self.chain if entry.state is not None))

    def is_decided(self, first: Entry, electors: frozenset[PeerId]) -> bool:
        """Return whether a majority of `electors` stands behind `first` in some round (support.py)."""
        return self.decisions.is_decided(first, electors, chain=self.chain, votes=self.votes)

    def is_favoured(self, entry: Entry) -> bool:
        """Return whether a majority has decided for the branch of `entry` against that of the tip."""
        ancestor, ours, theirs = self.chain.fork(self.tip, entry)
        if not ours or not theirs or not ancestor.roster:
            return False
        return self.is_decided(theirs[0], electorate(ancestor, theirs[0]))

    @property
    def own_rank(self) -> int:
        """This peer's place among those who seal for its group; after all of them when it does not."""
        grouping = self.grouping
        rank = None if grouping is None else grouping.rank_of(self.me)
        return MAX_ADMITTED if rank is None else rank

    @property
    def own_group(self) -> int:
        """The group that this peer contributes to in the round in progress; 0 without groups."""
        self._look_for_own_group()
        return self._own_group

    def _look_for_own_group(self) -> None:
        tip = self.chain.tip
        if self._own_group_key is tip.digest:
            return
        grouping = tip.grouping
        self._own_group_key = tip.digest
        self._own_group = 0 if grouping is None else grouping.group_of(self.me)
        self._mates = frozenset() if grouping is None else frozenset(grouping.groups[self._own_group])

    def is_of_own_group(self, peer: PeerId) -> bool:
        """Return whether this peer and `peer` contribute to one group in the round in progress, or to the whole."""
        grouping = self.chain.tip.grouping
        if grouping is None:
            return True
        self._look_for_own_group()
        if peer in self._mates:
            return True
        is_stranger = peer not in grouping.contributors and peer not in grouping.idle
        return is_stranger and grouping.group_of(peer) == self._own_group

    def next_state(self, base: ModelState, deltas: Sequence[SignedDelta], *, keeps_model: bool) -> ModelState:
        """Return the model after a round that admits `deltas`. Raises: KeyError when a payload is not held."""
        if keeps_model:
            return base
        contributions = [
            Contribution(
                weight=delta.message.weight,
                delta=self.payloads.delta(delta.message),
                peer=delta.peer,
                env_steps=delta.message.env_steps,
            )
            for delta in deltas
        ]
        aggregate, first = self.parts.aggregate, deltas[0].message
        step = aggregate if isinstance(first, DeltaHeader) else aggregate.of_groups
        return step(base, contributions, Digest(first.base))

    def deltas_lacking(self, payload: Digest) -> list[SignedDelta]:
        """Return the messages that matter here and wait for `payload`; what they say of it may differ."""
        relevant: list[SignedDelta] = [*self.pool.announcing(payload), *self.groups.announcing(payload)]
        for entry in self.chain:
            relevant += [delta for delta in self.missing.of(entry) if delta.message.payload == payload]
        payloads = self.payloads
        return [delta for delta in relevant if delta.message not in payloads and not payloads.is_refuted(delta.message)]

    def waits_for(self, delta: SignedDelta) -> bool:
        """Return whether a message held here waits for the payload of `delta`, and says the same of it."""
        named = self.deltas_lacking(Digest(delta.message.payload))
        return any(is_same_claim(other.message, delta.message) for other in named)

    def forget(self) -> None:
        """Move the window up to the tip and drop what is out of it; own work is kept, older pieces as their sum."""
        self.own.note_departures()
        line = self.line()
        self.chain.prune(history=self.parts.rules.history)
        root_round = self.chain.root.round
        self.own.forget(passed=[entry for entry in line if entry.round <= root_round])
        self.votes.forget(before_round=root_round)  # the root's own votes tell who has arrived there
        self.pool.forget(keep=self._recent_bases(self.pool.bases()))
        self.groups.forget(keep=self._recent_bases(self.groups.bases()))
        self.missing.forget()
        self._drop_payloads()

    def drop_lost_payloads(self) -> None:
        """Drop the payloads of headers and seals that no longer have room; a peer can replace its own at any rate."""
        if self._lost != (self.pool.num_lost, self.groups.num_lost):
            self._drop_payloads()

    def _drop_payloads(self) -> None:
        self._lost = self.pool.num_lost, self.groups.num_lost
        chained = {delta.message.payload for entry in self.chain for delta in entry.deltas}
        announced = self.pool.payloads() | self.groups.payloads() | {self.announced}
        near = [base for base in self.pool.bases() if self._is_near(base)]
        near_tip = {header.message.payload for base in near for header in self.pool.on_base(base)}
        self.payloads.forget(keep=chained | announced, decoded=near_tip | self.groups.payloads())

    def restart_from(self, entry: Entry) -> list[PieceDropped]:
        """Hold nothing but `entry`, whose past is unknown here, and the own work that its chain lacks."""
        entry.settle(self.parts.rules)
        self.chain = Chain(entry)
        self.decisions.forget()
        self.missing = MissingPayloads(self.chain, self.payloads)
        return self.own.change_chain(self.chain)

    def _recent_bases(self, bases: Iterable[Digest]) -> set[Digest]:
        """Bases whose headers may still be sealed or switched to: near the tip, or not known here yet."""
        return {base for base in bases if base not in self.chain or self._is_near(base)}

    def _is_near(self, base: Digest) -> bool:
        entry = self.chain.get(base)
        return entry is not None and entry.round >= self.tip.round - 1

    def _is_member(self, peer: PeerId) -> bool:
        return peer == self.me or peer in self.tip.members
