"""The reporter: every fact of the machine becomes one event, with numbers that a reader can trust."""

import math
from dataclasses import replace

import pytest

from peer.rounds.effects import (
    Effect,
    FetchSnapshot,
    Finalised,
    FinalityWithdrawn,
    FinalityWithout,
    ModelDiffers,
    OpenRound,
    PieceDropped,
    Refused,
    SnapshotApplied,
    Switched,
)
from peer.rounds.own_deltas import Piece
from peer.rounds.rules import RoundRules
from peer.services.reporting import Reporter, Robustness
from peer.services.shown_results import shown_return
from peer.telemetry.counters import Counters
from peer.telemetry.disk_events import SnapshotAdopted
from peer.telemetry.event import Event
from peer.telemetry.peer_events import MessageRefused
from peer.telemetry.round_events import (
    DeltaCarried,
    FinalityContested,
    FinalityGoesOn,
    FinalityReopened,
    ModelDiffered,
    RobustnessChanged,
    RosterChanged,
    RoundFinal,
    RoundSealed,
    TipReplaced,
    WorkDropped,
)
from peer.telemetry.sink import RecordingSink
from peer.types import Digest, PeerId
from peer.wire.sync import SnapshotOffer, Tip
from tests.unit.services.chains import ME, LoneChain, first_entry, work

ALICE = PeerId("alice-id")


class Desk:
    def __init__(self) -> None:
        self.sink = RecordingSink()
        self.counters = Counters()
        self.reporter = Reporter(ME.peer_id, sink=self.sink, counters=self.counters)

    def sees(self, effects: list[Effect]) -> list[Event]:
        """Return the events of these effects."""
        already = len(self.sink.events)
        for effect in effects:
            self.reporter.observe(effect)
        return self.sink.events[already:]


def test_a_sealed_round_is_one_line_and_a_changed_roster_another() -> None:
    desk, chain = Desk(), LoneChain()
    events = desk.sees(chain.seal())
    sealed = [event for event in events if isinstance(event, RoundSealed)]
    assert [(line.round, line.admitted, line.roster, line.env_steps) for line in sealed] == [(1, 1, 1, 100)]
    assert (sealed[0].mean_return, sealed[0].best_return, sealed[0].steps_per_s) == (2.0, 2.0, 50.0)
    assert sealed[0].model == chain.machine.tip.model
    assert sealed[0].sealer == ME.peer_id
    assert (sealed[0].delta_bytes, sealed[0].codec) == (4 * 4 + 24 * 2, "float32")
    roster = [event for event in events if isinstance(event, RosterChanged)]
    assert [(event.added, event.removed) for event in roster] == [((ME.peer_id,), ())]
    assert not [event for event in desk.sees(chain.seal()) if isinstance(event, RosterChanged)]


@pytest.mark.parametrize(
    ("rules", "stops", "is_kept"),
    [
        (RoundRules(stop_return=2.0), ["", "solved"], True),
        (RoundRules(stop_rounds=2), ["", "max_rounds"], False),
    ],
)
def test_the_round_that_ends_the_run_says_why(rules: RoundRules, stops: list[str], *, is_kept: bool) -> None:
    desk, chain = Desk(), LoneChain(rules=rules)
    events = [*desk.sees(chain.seal()), *desk.sees(chain.seal())]
    first, last = (event for event in events if isinstance(event, RoundSealed))
    assert [first.stop, last.stop] == stops
    assert (first.model == last.model) == is_kept


def test_what_a_rule_claims_is_told_first_and_then_only_when_the_claim_comes_or_goes() -> None:
    claims = iter((0, 0, 2, 3, 0))
    sink = RecordingSink()
    robustness = Robustness(rule="multi-krum", withstands=lambda _: next(claims))
    reporter = Reporter(ME.peer_id, sink=sink, counters=Counters(), robustness=robustness)
    chain = LoneChain()
    for _ in range(5):
        for effect in chain.seal():
            reporter.observe(effect)
    told = [(event.round, event.withstands) for event in sink.events if isinstance(event, RobustnessChanged)]
    assert told == [(1, 0), (3, 2), (5, 0)]


def test_a_rule_that_claims_nothing_says_nothing() -> None:
    events = Desk().sees(LoneChain().seal())
    assert not [event for event in events if isinstance(event, RobustnessChanged)]


def test_the_best_return_is_kept_and_no_number_never_becomes_the_best() -> None:
    desk = Desk()
    assert desk.reporter.best_return == -math.inf
    chain = LoneChain()
    for value in (5.0, 3.0, None, 4.0):
        chain.now += 2.0
        tip = chain.machine.tip
        local = work(tip)
        local = type(local)(
            **{name: getattr(local, name) for name in local.__slots__ if name not in ("eval_return", "mean_return")},
            eval_return=value,
            mean_return=None,
        )
        effects = chain.machine.announce(local, chain.now)
        while chain.machine.tip is tip:
            chain.now += 0.5
            effects += chain.machine.tick(chain.now)
        desk.sees(effects)
    lines = [event for event in desk.sink.events if isinstance(event, RoundSealed)]
    assert [line.best_return for line in lines] == [5.0, 5.0, 5.0, 5.0]
    assert math.isnan(lines[2].mean_return)


def test_the_return_of_training_stands_in_where_nobody_measured() -> None:
    chain = LoneChain()
    chain.seal()
    assert shown_return(chain.machine.tip) == 2.0
    assert math.isnan(shown_return(first_entry()))


def test_refusals_are_counted_and_named() -> None:
    desk = Desk()
    events = desk.sees([Refused(reason="bad_signature", peer=ALICE, detail="it is not alice's")] * 3)
    assert [(event.remote, event.reason) for event in events if isinstance(event, MessageRefused)] == [
        (ALICE, "bad_signature")
    ] * 3
    assert desk.counters["refused_bad_signature"] == 3


def test_a_change_of_branch_is_told_once_with_what_is_carried_over() -> None:
    desk, chain = Desk(), LoneChain()
    chain.seal()
    tip, opened = chain.machine.tip, chain.opened()
    lost = OpenRound(round=2, base=tip, state=opened.state, pieces=(_piece(chain),))
    assert desk.sees([Switched(undone=(tip, tip), ancestor_round=0, to=tip)]) == []
    replaced, carried = desk.sees([lost])
    assert isinstance(replaced, TipReplaced)
    assert (replaced.round, replaced.undone, replaced.carried) == (1, 2, 1)
    assert isinstance(carried, DeltaCarried)
    assert desk.sees([opened]) == []


def test_a_model_that_differs_is_told_and_counted() -> None:
    desk, chain = Desk(), LoneChain()
    chain.seal()
    tip = chain.machine.tip
    differs = ModelDiffers(entry=tip, computed=Digest(b"x" * 32), parts=("log_std", "statistics"), repairing=False)
    events = desk.sees([differs, replace(differs, repairing=True)])
    first = ModelDiffered(
        round=1, own=Digest(b"x" * 32), sealed=tip.model, parts=differs.parts, repairing=False, incidents=1
    )
    assert events == [first, replace(first, repairing=True, incidents=2)]


def test_an_adopted_snapshot_names_its_donor() -> None:
    desk, chain = Desk(), LoneChain()
    chain.seal()
    tip = chain.machine.tip
    offer = SnapshotOffer(Tip(tip.digest, 1, 1), b"b" * 32, 100)
    events = desk.sees([FetchSnapshot(offer=offer, holder=ALICE), _snapshot_applied(chain)])
    assert [(event.donor, event.round) for event in events if isinstance(event, SnapshotAdopted)] == [(ALICE, 1)]


@pytest.mark.parametrize("steps", [1, 5000])
def test_dropped_work_is_told(steps: int) -> None:
    (event,) = Desk().sees([PieceDropped(pieces=1, env_steps=steps)])
    assert event == WorkDropped(env_steps=steps)


def test_a_final_round_is_told_with_its_model() -> None:
    chain = LoneChain()
    chain.seal()
    tip = chain.machine.tip
    (event,) = Desk().sees([Finalised(entry=tip)])
    assert event == RoundFinal(round=1, model=tip.model, roster=1)


def test_rounds_that_are_final_no_more_are_told_with_who_is_elsewhere() -> None:
    in_window = FinalityWithdrawn(final_round=4, peer=ALICE)
    apart = FinalityWithdrawn(final_round=None, peer=ALICE)
    assert Desk().sees([in_window, apart]) == [
        FinalityContested(round=4, remote=ALICE),
        FinalityContested(round=None, remote=ALICE),
    ]


def test_rounds_that_were_decided_without_a_peer_that_is_back_are_told_with_it() -> None:
    withdrawn = FinalityWithdrawn(final_round=4, peer=ALICE, is_back=True)
    assert Desk().sees([withdrawn]) == [FinalityReopened(round=4, remote=ALICE)]


def test_a_peer_that_finality_no_longer_waits_for_is_named() -> None:
    assert Desk().sees([FinalityWithout(peer=ALICE)]) == [FinalityGoesOn(remote=ALICE)]


def _piece(chain: LoneChain) -> Piece:
    return Piece(round=1, env_steps=1, delta=work(chain.machine.tip).delta)


def _snapshot_applied(chain: LoneChain) -> SnapshotApplied:
    return SnapshotApplied(entry=chain.machine.tip, abandoned=first_entry())
