"""The costly pure functions of the protocol behind one seam: many machines of one process can share the answers."""

from collections.abc import Sequence

from peer.codec.codec import Codec
from peer.rounds.aggregate import Aggregate
from peer.rounds.entry import Entry
from peer.rounds.group_delta import GroupDelta, group_delta
from peer.rounds.group_seal import check_group_seal
from peer.rounds.manifest import Settled, check_manifest, open_headers
from peer.rounds.own_deltas import l2_norm
from peer.rounds.roster import seal_order
from peer.rounds.rules import RoundRules
from peer.types import Digest, ModelDelta, ModelSchema, ModelState, PeerId
from peer.wire.envelope import AnySigned, Opener, Signed, open_envelope
from peer.wire.hashing import model_hash
from peer.wire.messages import DeltaHeader, GroupSeal, Manifest


class PureWork:
    """Computes every answer anew, as a real peer does. A subclass may remember answers, never change them."""

    def open(self, data: bytes, *, run: bytes) -> AnySigned:
        """As `wire.envelope.open_envelope`."""
        return open_envelope(data, run=run)

    def open_headers(self, manifest: Manifest, *, run: bytes, opener: Opener) -> tuple[Signed[DeltaHeader], ...]:
        """As `rounds.manifest.open_headers`."""
        return open_headers(manifest, run=run, opener=opener)

    def check_manifest(self, parent: Entry, child: Entry, rules: RoundRules) -> Settled:
        """As `rounds.manifest.check_manifest`."""
        return check_manifest(parent, child, rules)

    def check_group_seal(self, base: Entry, seal: Signed[GroupSeal], rules: RoundRules) -> None:
        """As `rounds.group_seal.check_group_seal`."""
        check_group_seal(base, seal, rules)

    def group_delta(
        self,
        headers: Sequence[Signed[DeltaHeader]],
        deltas: Sequence[ModelDelta],
        *,
        aggregate: Aggregate,
        codec: Codec,
        schema: ModelSchema,
    ) -> GroupDelta:
        """As `rounds.group_delta.group_delta`."""
        return group_delta(headers, deltas, aggregate=aggregate, codec=codec, schema=schema)

    def seal_order(self, previous: Digest, peers: frozenset[PeerId]) -> list[PeerId]:
        """As `rounds.roster.seal_order`."""
        return seal_order(previous, peers)

    def changes(
        self, before: frozenset[PeerId], after: frozenset[PeerId]
    ) -> tuple[frozenset[PeerId], frozenset[PeerId]]:
        """Return who is in `after` alone, and who is in `before` alone."""
        return after - before, before - after

    def l2_norm(self, delta: ModelDelta) -> float:
        """Return the Euclidean norm of the parameters of a delta."""
        return l2_norm(delta.params)

    def model_hash(self, state: ModelState) -> Digest:
        """As `wire.hashing.model_hash`."""
        return model_hash(state)
