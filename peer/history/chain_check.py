"""Check the chain in a journal: that each round builds on the one before it, and follows from it by the rules."""

from peer.errors import ProtocolError
from peer.history.findings import Findings, span
from peer.history.record import Record, read_records
from peer.history.replay import Replay
from peer.rounds.entry import Entry
from peer.rounds.manifest import check_manifest
from peer.rounds.rules import RoundRules
from peer.storage.journal_reader import JournalReader


class ChainCheck:
    """Walks up the journal, one record after the other; `findings` and `replay` are told of each."""

    def __init__(
        self, start: Entry, *, replay: Replay, rules: RoundRules, findings: Findings, snapshots: list[Entry]
    ) -> None:
        """start: round 0. snapshots: states on disk, whose rosters a chain sealed in two levels may only hash."""
        self._start = start
        self._rosters = {entry.digest: entry for entry in snapshots}
        self._replay = replay
        self._rules = rules
        self._findings = findings
        self._last: Entry | None = None
        self._last_round = 0

    def run(self, journal: JournalReader, *, run: bytes) -> None:
        """Check the whole of `journal`. Raises: StorageError when it cannot be read."""
        breaks = journal.breaks()
        for record in read_records(journal.rows(newest_first=False), run=run):
            self._take(record, is_break=record.round in breaks)

    @property
    def ended(self) -> bool:
        """Whether the chain's last round ends the run."""
        return self._last is not None and bool(self._last.stop)

    def _take(self, record: Record, *, is_break: bool) -> None:
        parent = self._parent_of(record, is_break=is_break)
        self._last, self._last_round = record.entry, record.round
        if record.entry is None:
            self._findings.problem(record.round, record.damage)
            return
        self._findings.manifests.append(record.round)
        self._findings.headers += len(record.entry.admitted)
        self._replay.follow(record.entry, linked=parent is not None and self._follows(parent, record.entry))

    def _parent_of(self, record: Record, *, is_break: bool) -> Entry | None:
        """Return what the record must build on, None where that is not known here."""
        if self._last_round == 0:
            return self._first_parent(record)
        if is_break:
            self._findings.unchecked.append(
                f"what lies between rounds {self._last_round} and {record.round}: this peer took the state of round"
                f" {record.round} over from others, or its disk had failed"
            )
            return None
        if record.round != self._last_round + 1:
            lost = span(self._last_round + 1, record.round - 1)
            self._findings.problem(None, f"rounds {lost} are missing: somebody removed them from the journal")
            return None
        return None if self._last is None else self._with_roster(self._last)

    def _with_roster(self, entry: Entry) -> Entry | None:
        """Return `entry` with its roster; None where a top manifest only hashes it and nothing else here tells it."""
        if entry.roster:
            return entry
        known = self._rosters.get(entry.digest)
        if known is None:
            self._findings.unchecked.append(f"round {entry.round + 1} by the rules: the roster before it is not here")
        return known

    def _first_parent(self, record: Record) -> Entry | None:
        if record.round == 1:
            self._findings.from_start = True
            self._replay.state = self._start.state
            return self._start
        self._findings.unchecked.append(f"rounds before {record.round}: the journal does not hold them any more")
        return None

    def _follows(self, parent: Entry, entry: Entry) -> bool:
        if entry.parent != parent.digest:
            text = "does not build on" if parent.round else "does not begin with the model and the settings of"
            what = f"round {parent.round} before it" if parent.round else "this run"
            self._findings.problem(entry.round, f"{text} {what}: one of them was replaced")
            return False
        try:
            check_manifest(parent, entry, self._rules).settle(entry)
        except ProtocolError as error:
            self._findings.problem(entry.round, f"breaks the rules: {error.detail}")
            return False
        self._findings.links.append(entry.round)
        return True
