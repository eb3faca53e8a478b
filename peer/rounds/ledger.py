"""Everything of the run that one peer holds: the tree of manifests, headers, payloads, votes, and its own pieces."""

from collections.abc import Sequence, Set

from peer.rounds.candidates import Candidates
from peer.rounds.chain import Chain
from peer.rounds.effects import PieceDropped
from peer.rounds.eligibility import Eligibility
from peer.rounds.entry import Entry
from peer.rounds.headers import HeaderPool
from peer.rounds.manifest import STOP_RETURN
from peer.rounds.own_deltas import OwnDeltas, Piece
from peer.rounds.parts import Parts
from peer.rounds.payloads import PayloadStore
from peer.rounds.remainders import Remainders
from peer.rounds.support import is_decided
from peer.rounds.votes import VoteBook
from peer.types import Contribution, Digest, ModelState, Params, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import DeltaHeader


class Ledger:
    """The tables, the questions that need several of them, and what is forgotten when the window moves."""

    def __init__(self, parts: Parts, root: Entry) -> None:
        self.parts = parts
        self.me = parts.signer.peer_id
        self.chain = Chain(root)
        self.pool = HeaderPool()
        self.votes = VoteBook()
        self.payloads = PayloadStore(parts.codecs, parts.schema)
        self.own = OwnDeltas()
        self.eligibility = Eligibility(self.me)
        self._candidates = Candidates(self.pool, self.payloads, self.eligibility)
        self._decided: dict[tuple[Digest, frozenset[PeerId]], bool] = {}
        self._decided_key: object = None
        self._without_payload: dict[Digest, tuple[Signed[DeltaHeader], ...]] = {}
        self.remainders = Remainders()
        self._departed: set[tuple[str, int]] = set()

    @property
    def tip(self) -> Entry:
        return self.chain.tip

    @property
    def version(self) -> tuple[Digest, int, int, int, int]:
        """A value that differs whenever tip, tree, votes, payloads or the allow-list do."""
        versions = self.chain.version, self.votes.version, self.payloads.version, self.eligibility.version
        return self.tip.digest, *versions

    def line(self) -> list[Entry]:
        """Return the chain from the oldest entry kept to the tip."""
        return self.chain.line_to(self.tip)

    def candidates(self) -> list[Signed[DeltaHeader]]:
        """Return the headers that a manifest on the tip could admit now, sorted by peer id."""
        return self._candidates.headers(self.tip)

    def candidate_peers(self) -> Set[PeerId]:
        """Return whose headers those are. Cheap; a view that changes with the next call."""
        return self._candidates.peers(self.tip)

    def lacks_payloads(self) -> bool:
        """Return whether a header on the tip, or a manifest in the tree, may lack a payload."""
        return self._candidates.is_waiting(self.tip) or any(entry.state is None for entry in self.chain)

    def is_decided(self, first: Entry, electors: frozenset[PeerId]) -> bool:
        """As `support.is_decided`; the answer is kept until tree or votes change."""
        key = (self.chain.version, self.votes.version)
        if key != self._decided_key:
            self._decided, self._decided_key = {}, key
        question = (first.digest, electors)
        if question not in self._decided:
            self._decided[question] = is_decided(first, electors, chain=self.chain, votes=self.votes)
        return self._decided[question]

    def unadmitted_pieces(self) -> list[Piece]:
        """Return own pieces that the chain to the tip does not hold, oldest first."""
        return self.own.unadmitted(self.tip.held_of(self.me))

    def give_up_pieces(self) -> None:
        self.own.give_up(self.tip.held_of(self.me))

    def is_recent(self, piece: Piece) -> bool:
        """Return whether local training goes on from `piece`; older work is announced, but not trained upon."""
        return piece.round > self.chain.root.round

    def remainder(self) -> Params | None:
        """Return what the codec left out of the last own delta that the chain to the tip holds."""
        return self.remainders.after(self.tip.held_of(self.me))

    def next_state(self, base: ModelState, headers: Sequence[Signed[DeltaHeader]], *, keeps_model: bool) -> ModelState:
        """Return the model after a round that admits `headers`. Raises: KeyError when a payload is not held."""
        if keeps_model:
            return base
        contributions = [
            Contribution(weight=header.message.weight, delta=self.payloads.delta(header.message), peer=header.peer)
            for header in headers
        ]
        return self.parts.aggregate(base, contributions, Digest(headers[0].message.base))

    def missing_payloads(self, entry: Entry) -> list[tuple[Entry, Signed[DeltaHeader]]]:
        """Return the admitted headers without payload between the nearest applied ancestor and `entry`."""
        missing: list[tuple[Entry, Signed[DeltaHeader]]] = []
        current: Entry | None = entry
        while current is not None and current.state is None:
            if current.stop != STOP_RETURN:
                missing += [(current, header) for header in self._lacking(current)]
            current = self.chain.get(current.parent)
        return missing

    def _lacking(self, entry: Entry) -> tuple[Signed[DeltaHeader], ...]:
        """Return the admitted headers without payload: of those that lacked it last time, as payloads in use stay."""
        before = self._without_payload.get(entry.digest, entry.headers)
        lacking = tuple(header for header in before if header.message not in self.payloads)
        self._without_payload[entry.digest] = lacking
        return lacking

    def can_apply(self, entry: Entry) -> bool:
        return not self.missing_payloads(entry)

    def headers_lacking(self, payload: Digest) -> list[Signed[DeltaHeader]]:
        """Return the headers that matter here, announce `payload` and wait for it; each says of it what it likes."""
        relevant = (header for header in self._relevant_headers() if header.message.payload == payload)
        return [header for header in relevant if header.message not in self.payloads]

    def forget(self) -> None:
        """Move the window up to the tip and drop what is out of it; own work is kept, older pieces as their sum."""
        self._pin_breaks()
        self.chain.prune(history=self.parts.rules.history)
        root = self.chain.root
        held, root_round = root.held_of(self.me), root.round
        self.own.compact(held, root_round=root_round)
        self.remainders.forget(root_round=root_round, last_at_root=held)
        self.votes.forget(before_round=root_round)  # the root's own votes tell who has arrived there
        self.pool.forget(keep=self._recent_bases())
        self._without_payload = {digest: left for digest, left in self._without_payload.items() if digest in self.chain}
        self.payloads.forget(keep={Digest(header.message.payload) for header in self._relevant_headers()})

    def restart_from(self, entry: Entry) -> list[PieceDropped]:
        """Hold nothing but `entry`, whose past is unknown here, and the own work that its chain lacks."""
        left = self.tip
        self.own.pin(self.chain.root.round + 1)  # the chain that is left may be come back to
        held = entry.held_of(self.me)
        lost = self.own.change_chain(
            held, from_round=left.round, to_round=entry.round, horizon=0 if held else entry.horizon
        )
        self.chain = Chain(entry)
        self._decided_key = None
        self._without_payload.clear()
        return report_dropped(lost)

    def _pin_breaks(self) -> None:
        """Keep own pieces apart around the rounds in which members were lost: they may be going on without us."""
        departed = {(entry.peer, entry.round) for entry in self.tip.departed}
        new = [round_number for _, round_number in departed - self._departed]
        if new:
            self.own.pin(min(new))
        self._departed = departed

    def _relevant_headers(self) -> list[Signed[DeltaHeader]]:
        pooled = [header for base in self.pool.bases() for header in self.pool.on_base(base)]
        return pooled + [header for entry in self.chain for header in entry.headers]

    def _recent_bases(self) -> set[Digest]:
        """Bases whose headers may still be sealed or switched to: near the tip, or not known here yet."""
        known = {entry.digest for entry in self.chain if entry.round >= self.tip.round - 1}
        return known | {base for base in self.pool.bases() if base not in self.chain}


def report_dropped(pieces: Sequence[Piece]) -> list[PieceDropped]:
    if not pieces:
        return []
    return [PieceDropped(pieces=len(pieces), env_steps=sum(piece.env_steps for piece in pieces))]
