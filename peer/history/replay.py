"""Compute the models of a chain anew, from a state that is known and the deltas that were kept."""

from collections.abc import Mapping

from peer.errors import ProtocolError, StorageError
from peer.history.findings import Findings
from peer.rounds.entry import Entry
from peer.rounds.ledger import Ledger
from peer.rounds.manifest import STOP_RETURN
from peer.rounds.parts import Parts
from peer.storage.payloads import PayloadFolder
from peer.types import Digest, ModelState
from peer.wire.hashing import differing_parts, digest_of, model_hash


class Replay:
    """Follows the chain upwards, by the code that peers apply rounds with.

    snapshots: states from disk by the digest of their manifest, already checked against its model hash.
    state: after the round followed last, None where it is not known. wanted: the round whose state is `found`.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        payloads: PayloadFolder,
        snapshots: Mapping[Digest, ModelState],
        findings: Findings,
        wanted: int | None = None,
    ) -> None:
        self._parts = parts
        self._payloads = payloads
        self._snapshots = snapshots
        self._findings = findings
        self._wanted = wanted
        self.state: ModelState | None = None
        self.found: ModelState | None = None

    def follow(self, entry: Entry, *, linked: bool) -> None:
        """Take the next round. linked: whether it builds on the one before."""
        self.state = self._after(self.state, entry) if self.state is not None and linked else None
        known = self._snapshots.get(entry.digest)
        if known is not None:
            self._findings.snapshots.append(entry.round)
            self.state = known
        if entry.round == self._wanted:
            self.found = self.state

    def _after(self, before: ModelState, entry: Entry) -> ModelState | None:
        if entry.stop == STOP_RETURN:
            return self._checked(before, entry)
        ledger = Ledger(self._parts, entry)
        if not self._payloads.holds(entry.round) or not self._fill(ledger, entry):
            return None
        try:
            after = ledger.next_state(before, entry.deltas, keeps_model=False)
        except ValueError as error:
            self._findings.problem(entry.round, f"its deltas cannot be aggregated: {error}")
            return None
        return self._checked(after, entry)

    def _fill(self, ledger: Ledger, entry: Entry) -> bool:
        """Give the ledger the round's payloads; return whether all are there and as their headers say."""
        try:
            for header in entry.deltas:
                ledger.payloads.check_header(header.message)
            sizes = [header.message.payload_bytes for header in entry.deltas]
            kept = {digest_of(data): data for data in self._payloads.load(entry.round, sizes=sizes)}
        except ProtocolError as error:
            self._findings.problem(entry.round, f"a header that no peer takes: {error.detail}")
            return False
        except StorageError as error:
            self._findings.problem(entry.round, str(error))
            return False
        before = len(self._findings.problems)
        for header in entry.deltas:
            data = kept.get(Digest(header.message.payload))
            if data is None:
                text = f"none of the kept deltas is the one that the header of {header.peer} names"
                self._findings.problem(entry.round, text)
                continue
            try:
                ledger.payloads.add(header, data)
            except ProtocolError as error:
                self._findings.problem(entry.round, f"the delta of {header.peer}: {error.detail}")
        return len(self._findings.problems) == before

    def _checked(self, state: ModelState, entry: Entry) -> ModelState | None:
        computed = model_hash(state)
        if computed != entry.model:
            text = f"its deltas give model {computed.hex()[:6]}, its manifest names {entry.model.hex()[:6]}"
            assert entry.manifest is not None, "genesis has no deltas"
            if parts := differing_parts(state, entry.manifest.message.parts, self._parts.schema):
                text += f"; they differ in {', '.join(parts)}"
            self._findings.problem(entry.round, text)
            return None
        self._findings.models.append(entry.round)
        return state
