"""Watches a run: what was sealed, when it became final, and whether two honest peers ever held different final models.

The claim (docs/adr/0003): two peers that can reach each other, and have for `SETTLE_S`, never hold different models for
a round that both hold as final, once no link has been cut or mended for as long. It is checked every second of the run.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from peer.rounds.effects import (
    Applied,
    Effect,
    Finalised,
    FinalityWithdrawn,
    ModelDiffers,
    PieceDropped,
    Refused,
    SnapshotApplied,
    Switched,
)
from peer.rounds.entry import Entry
from peer.simulation.event_loop import EventLoop
from peer.simulation.peer_life import PeerLife
from peer.simulation.post import Post
from peer.types import Digest, PeerId, Seconds

SETTLE_S = 8.0
_LOOK_S = 0.5
_KEPT_FINALS = 64
LINGER_S = 30.0
"""How long after the first peer has come to the last round the others may take to have it as final."""


@dataclass(slots=True)
class SealedRound:
    """What is known of one manifest.

    first_s: when it was first applied. finality_s: how long it took to be final, one value for each peer.
    greedy_return: of the model after it, NaN where it was not measured.
    """

    number: int
    parent: Digest
    first_s: Seconds
    admitted: int
    env_steps: int
    greedy_return: float
    finality_s: list[Seconds] = field(default_factory=list)


class Judge:
    """Told of every effect of every machine; only what honest peers say counts."""

    def __init__(
        self, peers: Sequence[PeerLife], post: Post, loop: EventLoop, *, evaluate: Callable[[Entry], float]
    ) -> None:
        """evaluate: returns the greedy return of the model after an entry; asked once an entry."""
        self._peers = peers
        self._post = post
        self._loop = loop
        self._evaluate = evaluate
        self._names: dict[PeerId, PeerLife] = {peer.peer_id: peer for peer in peers}
        self._rewired_at = 0.0
        self._ended_at: Seconds | None = None
        self.is_over = False
        self.sealed: dict[Digest, SealedRound] = {}
        self.rivals: dict[Digest, set[Digest]] = defaultdict(set)
        self.finality_s: list[Seconds] = []
        self._finals: dict[int, set[Digest]] = defaultdict(set)
        self.divergent: dict[int, str] = {}
        self.refused: Counter[str] = Counter()
        self.blamed: dict[int, Counter[str]] = defaultdict(Counter)
        self.switched = 0
        self.snapshots = 0
        self.trainings_diverged = 0
        self.repairs = 0
        self.dropped_env_steps = 0
        self._arms: dict[type, Callable[..., None]] = {
            Applied: self._applied,
            Finalised: self._finalised,
            FinalityWithdrawn: self._finality_withdrawn,
            Switched: self._switched,
            SnapshotApplied: self._snapshot_applied,
            Refused: self._refused,
            ModelDiffers: self._model_differs,
            PieceDropped: self._piece_dropped,
        }
        loop.after(_LOOK_S, self._look_again)

    def observe(self, peer: PeerLife, effect: Effect) -> None:
        arm = self._arms.get(type(effect))
        if arm is not None and peer.is_honest:
            arm(peer, effect)

    def rewired(self) -> None:
        """Take note that links were cut or mended."""
        self._rewired_at = self._loop.now

    def blame(self, author: PeerLife, reason: str) -> None:
        """Take note of a message that was refused before it came to a machine."""
        self.refused[reason] += 1
        self.blamed[author.number][reason] += 1

    def diverged(self, peer: PeerLife) -> None:
        """Take note that a peer discarded what it had learned."""
        self.trainings_diverged += peer.is_honest

    @property
    def is_ending(self) -> bool:
        """Some honest peer has come to the agreed last round."""
        return self._ended_at is not None

    @property
    def newest(self) -> SealedRound | None:
        """Return the manifest that an honest peer was the last to apply first."""
        return next(reversed(self.sealed.values()), None)

    @property
    def forks(self) -> int:
        """Return how many manifests got more than one successor that an honest peer followed."""
        return sum(len(successors) > 1 for successors in self.rivals.values())

    def honest(self) -> list[PeerLife]:
        """Return the honest peers that are alive."""
        return [peer for peer in self._peers if peer.is_honest and peer.is_alive]

    def settled(self) -> list[PeerLife]:
        """Return the honest peers, but those that came back a moment ago and need not know yet what the others know."""
        since = self._loop.now - SETTLE_S
        return [peer for peer in self.honest() if peer.life == 1 or peer.started_at <= since]

    def look(self) -> None:
        """Compare what the peers hold as final; find out whether the run is over."""
        now, honest = self._loop.now, self.honest()
        if now >= self._rewired_at + SETTLE_S:
            self._compare([peer for peer in honest if now >= peer.started_at + SETTLE_S])
        if self._ended_at is None and any(peer.machine.finished for peer in honest):
            self._ended_at = now
        if self._ended_at is not None:
            done = all(peer.machine.finished and peer.machine.final_round == peer.tip.round for peer in self.settled())
            self.is_over = done or now > self._ended_at + LINGER_S

    def _look_again(self) -> None:
        self.look()
        self._loop.after(_LOOK_S, self._look_again)

    def _compare(self, peers: Sequence[PeerLife]) -> None:
        disputed = {number for number, digests in self._finals.items() if len(digests) > 1}
        if not disputed:
            return
        held: dict[tuple[int, int], tuple[PeerLife, Digest]] = {}
        for peer in peers:
            group = int(self._post.group[peer.number])
            for number in peer.final.keys() & disputed:
                digest = peer.final[number]
                other, known = held.setdefault((group, number), (peer, digest))
                if known != digest and number not in self.divergent:
                    where = f"at {self._loop.now:.1f} s {other.name} and {peer.name}"
                    self.divergent[number] = f"{where} hold different models of final round {number}"

    # Effects

    def _applied(self, _peer: PeerLife, effect: Applied) -> None:
        entry = effect.entry
        if entry.digest not in self.sealed:
            self.sealed[entry.digest] = SealedRound(
                number=entry.round,
                parent=entry.parent,
                first_s=self._loop.now,
                admitted=len(entry.admitted),
                env_steps=entry.env_steps,
                greedy_return=self._evaluate(entry),
            )
            self.rivals[entry.parent].add(entry.digest)

    def _finalised(self, peer: PeerLife, effect: Finalised) -> None:
        entry = effect.entry
        peer.final[entry.round] = entry.digest
        self._finals[entry.round].add(entry.digest)
        peer.final.pop(entry.round - _KEPT_FINALS, None)
        sealed = self.sealed.get(entry.digest)
        if sealed is not None:
            took = self._loop.now - max(sealed.first_s, peer.started_at)
            sealed.finality_s.append(took)
            self.finality_s.append(took)

    def _finality_withdrawn(self, peer: PeerLife, effect: FinalityWithdrawn) -> None:
        above = -1 if effect.final_round is None else effect.final_round
        peer.final = {number: digest for number, digest in peer.final.items() if number <= above}

    def _switched(self, peer: PeerLife, effect: Switched) -> None:
        self.switched += 1
        peer.final = {number: digest for number, digest in peer.final.items() if number <= effect.ancestor_round}

    def _snapshot_applied(self, peer: PeerLife, _effect: SnapshotApplied) -> None:
        self.snapshots += 1
        peer.final.clear()

    def _refused(self, _peer: PeerLife, effect: Refused) -> None:
        self.refused[effect.reason] += 1
        author = self._names.get(effect.peer)
        if author is not None:
            self.blamed[author.number][effect.reason] += 1

    def _model_differs(self, _peer: PeerLife, effect: ModelDiffers) -> None:
        self.repairs += effect.repairing
        self.refused["model_differs"] += 1
        sealer = self._names.get(effect.entry.sealer) if effect.entry.sealer else None
        if sealer is not None:
            self.blamed[sealer.number]["model_differs"] += 1

    def _piece_dropped(self, _peer: PeerLife, effect: PieceDropped) -> None:
        self.dropped_env_steps += effect.env_steps
