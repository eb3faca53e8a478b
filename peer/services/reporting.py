"""Turn what the round machine did into the events of the log."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from peer.rounds.effects import (
    Applied,
    Effect,
    FetchSnapshot,
    Finalised,
    FinalityWithdrawn,
    FinalityWithout,
    ModelDiffers,
    OpenRound,
    PieceDropped,
    Refused,
    SealingPaused,
    SealingResumed,
    SnapshotApplied,
    Switched,
)
from peer.rounds.entry import Entry
from peer.rounds.roster import Roster, peers_of
from peer.services.refusals import tell_refused
from peer.services.shown_results import STOP_REASONS, shown_return
from peer.telemetry.counters import Counters
from peer.telemetry.disk_events import SnapshotAdopted
from peer.telemetry.round_events import (
    BranchWorkReturned,
    DeltaCarried,
    FinalityContested,
    FinalityGoesOn,
    FinalityReopened,
    ModelDiffered,
    RobustnessChanged,
    RosterChanged,
    RoundFinal,
    RoundSealed,
    SealingStopped,
    SealingWentOn,
    TipReplaced,
    WorkDropped,
)
from peer.telemetry.sink import EventSink
from peer.types import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Robustness:
    """What the aggregation rule claims.

    rule: its name. withstands: how many bad peers it withstands, by the size of the roster.
    """

    rule: str
    withstands: Callable[[int], int]


class Reporter:
    """An observer of the conductor. best_return: highest agreed return so far, -inf while there is none."""

    def __init__(
        self, me: PeerId, *, sink: EventSink, counters: Counters, robustness: Robustness | None = None
    ) -> None:
        """robustness: what the rule claims; None for a rule that never claims anything."""
        self._me = me
        self._robustness = robustness
        self._withstands: int | None = None
        self._sink = sink
        self._counters = counters
        self._switched: Switched | None = None
        self._donor: PeerId | None = None
        self._changed_chain = False
        self._delta_bytes = 0
        self._codec = ""
        self._steps_per_s = 0.0
        self.best_return = -math.inf

    def observe(self, effect: Effect) -> None:
        match effect:
            case Applied():
                self._sealed(effect)
            case Finalised() | FinalityWithdrawn() | FinalityWithout():
                self._tell_finality(effect)
            case Switched():
                self._switched = effect
            case OpenRound():
                self._tell_switch(len(effect.pieces))
                self._tell_branch_work(effect)
                if effect.pieces:
                    self._sink.emit(DeltaCarried(round=effect.round, cause="no manifest has admitted it yet"))
            case SealingPaused():
                stopped = SealingStopped(round=effect.round, reachable=effect.reachable, roster=effect.roster)
                self._sink.emit(stopped)
            case SealingResumed():
                self._sink.emit(SealingWentOn(round=effect.round))
            case FetchSnapshot():
                self._donor = effect.holder
            case SnapshotApplied():
                self._took_snapshot(effect.entry)
            case PieceDropped():
                self._sink.emit(WorkDropped(env_steps=effect.env_steps))
            case _:
                self._report_trouble(effect)

    def _report_trouble(self, effect: Effect) -> None:
        if isinstance(effect, Refused):
            tell_refused(effect, effect.peer, counters=self._counters, sink=self._sink)
        elif isinstance(effect, ModelDiffers):
            self._counters.add("models_differed")
            self._sink.emit(
                ModelDiffered(
                    round=effect.entry.round,
                    own=effect.computed,
                    sealed=effect.entry.model,
                    parts=effect.parts,
                    repairing=effect.repairing,
                    incidents=self._counters["models_differed"],
                )
            )

    def _sealed(self, applied: Applied) -> None:
        entry = applied.entry
        value = shown_return(entry)
        if math.isfinite(value):
            self.best_return = max(self.best_return, value)
        self._note_own(entry)
        assert entry.sealer is not None
        assert entry.manifest is not None
        self._sink.emit(
            RoundSealed(
                round=entry.round,
                mean_return=value,
                best_return=self.best_return,
                admitted=len(entry.admitted),
                roster=len(entry.roster),
                steps_per_s=self._steps_per_s,
                delta_bytes=self._delta_bytes,
                codec=self._codec,
                sealer=entry.sealer,
                seal_s=applied.sealing_s,
                model=entry.model,
                manifest=entry.digest,
                env_steps=entry.env_steps,
                view=entry.view,
                rejected=len(entry.manifest.message.rejected),
                stop=STOP_REASONS.get(entry.stop, ""),
            )
        )
        self._roster_changed(applied.parent.roster, entry)
        self._tell_robustness(entry)

    def _tell_robustness(self, entry: Entry) -> None:
        """Tell the claim when it is first known, and when it comes or goes."""
        if self._robustness is None:
            return
        withstands = self._robustness.withstands(len(entry.roster))
        if self._withstands is None or (withstands > 0) != (self._withstands > 0):
            rule = self._robustness.rule
            self._sink.emit(
                RobustnessChanged(round=entry.round, rule=rule, roster=len(entry.roster), withstands=withstands)
            )
        self._withstands = withstands

    def _note_own(self, entry: Entry) -> None:
        for header in entry.headers:
            if header.peer == self._me:
                self._delta_bytes = header.message.payload_bytes
                self._codec = header.message.codec
                self._steps_per_s = float(header.message.steps_per_s)

    def _roster_changed(self, before: Roster, entry: Entry) -> None:
        old, new = peers_of(before), peers_of(entry.roster)
        if old != new:
            self._sink.emit(
                RosterChanged(
                    round=entry.round,
                    added=tuple(sorted(new - old)),
                    removed=tuple(sorted(old - new)),
                    roster=len(new),
                )
            )

    def _tell_finality(self, effect: Finalised | FinalityWithdrawn | FinalityWithout) -> None:
        match effect:
            case Finalised():
                entry = effect.entry
                self._sink.emit(RoundFinal(round=entry.round, model=entry.model, roster=len(entry.roster)))
            case FinalityWithdrawn():
                event = FinalityReopened if effect.is_back else FinalityContested
                self._sink.emit(event(round=effect.final_round, remote=effect.peer))
            case FinalityWithout():
                self._sink.emit(FinalityGoesOn(remote=effect.peer))

    def _tell_switch(self, carried: int) -> None:
        if self._switched is not None:
            switched, self._switched = self._switched, None
            self._sink.emit(
                TipReplaced(
                    round=switched.to.round, undone=len(switched.undone), carried=carried, model=switched.to.model
                )
            )

    def _tell_branch_work(self, opened: OpenRound) -> None:
        """Say once what the first round after a snapshot brings along."""
        if self._changed_chain and opened.older_env_steps:
            self._sink.emit(BranchWorkReturned(round=opened.round, env_steps=opened.older_env_steps))
        self._changed_chain = False

    def _took_snapshot(self, entry: Entry) -> None:
        self._changed_chain = True
        donor = self._donor or entry.sealer or self._me
        self._sink.emit(SnapshotAdopted(round=entry.round, donor=donor, model=entry.model))
