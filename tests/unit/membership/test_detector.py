"""The failure detector alone: every step by hand, on a clock that the test turns."""

import random
from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.membership.detector import MAX_ACCUSERS, MAX_ASKED, FailureDetector
from peer.membership.effects import Ask, AskThrough, Died, MemberEffect, Returned, Suspected
from peer.membership.timing import MAX_SCORE, Timing
from peer.types import PeerId
from peer.wire.membership import SignedStatement, StatementKind
from tests.unit.membership.statements import alive, statement, suspect

T = TypeVar("T", bound=MemberEffect)

ME = PeerId("me")
BOOT = 7 << 20
TIMING = Timing()
B, C, D, E = (PeerId(name) for name in "bcde")


class Watch:
    """A detector and its clock. talking: members of which something is heard at every look."""

    def __init__(self, *peers: PeerId, seed: int = 1) -> None:
        self.now = 100.0
        self.talking: set[PeerId] = set()
        self.seen: list[tuple[float, MemberEffect]] = []
        self.detector = FailureDetector(
            ME,
            incarnation=BOOT,
            make_statement=lambda kind, subject, incarnation: statement(kind, subject, incarnation, ME),
            draw=random.Random(seed).sample,
            now=self.now,
            timing=TIMING,
        )
        self.note(self.detector.members(frozenset(peers), self.now))

    def note(self, effects: Iterable[MemberEffect]) -> None:
        self.seen += [(self.now, effect) for effect in effects]

    def run(self, seconds: float, *, step_s: float = TIMING.tick_s, each: Callable[[], None] = lambda: None) -> None:
        end = self.now + seconds
        while self.now + step_s <= end + 1e-9:
            self.now += step_s
            for peer in sorted(self.talking):
                self.note(self.detector.heard(peer, self.now))
            each()
            self.note(self.detector.tick(self.now))

    def all(self, kind: type[T]) -> list[T]:
        return [effect for _, effect in self.seen if isinstance(effect, kind)]

    def at(self, kind: type[T]) -> float:
        return next(at for at, effect in self.seen if isinstance(effect, kind)) - 100.0

    def take(self, *statements: SignedStatement) -> None:
        self.note(self.detector.receive(statements, self.now))


def test_members_that_are_heard_are_never_asked() -> None:
    watch = Watch(B, C)
    watch.talking = {B, C}
    watch.run(60.0)
    assert watch.seen == []


def test_a_silent_member_is_asked_then_through_helpers_then_suspected_then_given_up() -> None:
    watch = Watch(B, C, D)
    watch.talking = {C, D}
    watch.run(20.0)
    order = [type(effect) for _, effect in watch.seen]
    assert order[:4] == [Ask, AskThrough, AskThrough, Suspected]
    assert watch.at(Ask) == pytest.approx(TIMING.quiet_s, abs=TIMING.tick_s)
    assert {ask.helper for ask in watch.all(AskThrough)[:2]} == {C, D}
    assert watch.at(Suspected) <= 5.5
    (died,) = watch.all(Died)
    assert died.peer == B
    assert died.by == 1


def test_of_two_peers_the_dead_one_is_given_up_within_eight_seconds() -> None:
    watch = Watch(B)
    watch.run(20.0)
    assert watch.at(Died) <= 8.0


def test_confirmed_suspicion_ends_within_eight_seconds() -> None:
    watch = Watch(B, C, D, E)
    watch.talking = {C, D, E}
    watch.run(5.0, each=lambda: None)
    watch.run(0.5)
    assert watch.all(Suspected)
    watch.take(suspect(B, by=C), suspect(B, by=D), suspect(B, by=E))
    assert watch.detector.suspected_by(B) == 4
    watch.run(10.0)
    assert watch.at(Died) <= 8.0
    assert watch.all(Died)[0].by == 4


def test_an_answer_ends_the_question() -> None:
    watch = Watch(B)

    answered = 0

    def answer() -> None:
        nonlocal answered
        if len(watch.all(Ask)) > answered:
            answered = len(watch.all(Ask))
            watch.note(watch.detector.answered(B, watch.now))

    watch.run(60.0, each=answer)
    assert len(watch.all(Ask)) >= 10
    assert not watch.all(Suspected)


def test_a_helper_that_reaches_it_clears_it_and_a_refusal_of_all_suspects_at_once() -> None:
    for reached in (True, False):
        watch = Watch(B, C, D)
        watch.talking = {C, D}
        while not watch.all(AskThrough):
            watch.run(TIMING.tick_s)
        started = watch.now
        for ask in watch.all(AskThrough):
            watch.note(watch.detector.helper_answered(ask.helper, B, watch.now, reached=reached))
        watch.run(TIMING.tick_s)
        assert bool(watch.all(Suspected)) is not reached
        assert watch.now - started < TIMING.indirect_s


def test_helpers_that_say_no_leave_the_own_health_alone_and_silent_ones_do_not() -> None:
    scores = {}
    for says_no in (True, False):
        watch = Watch(B, C)
        watch.talking = {C}
        while not watch.all(Suspected):
            watch.run(TIMING.tick_s)
            for ask in watch.all(AskThrough) if says_no else []:
                watch.note(watch.detector.helper_answered(ask.helper, B, watch.now, reached=False))
        scores[says_no] = watch.detector.health.score
    assert scores == {True: 0, False: 1}


def test_a_suspect_that_is_heard_again_is_back_and_told() -> None:
    watch = Watch(B)
    while not watch.all(Suspected):
        watch.run(TIMING.tick_s)
    watch.talking = {B}
    watch.run(1.0)
    (back,) = watch.all(Returned)
    assert back.peer == B
    assert back.silent_s > 4.0
    watch.run(60.0)
    assert not watch.all(Died)


def test_one_that_was_given_up_and_connects_again_is_back() -> None:
    watch = Watch(B)
    watch.run(10.0)
    assert watch.all(Died)
    watch.note(watch.detector.members(frozenset(), watch.now))
    watch.run(60.0)
    watch.note(watch.detector.members(frozenset({B}), watch.now))
    (back,) = watch.all(Returned)
    assert back.silent_s == pytest.approx(70.0, abs=1.0)
    assert watch.detector.suspected_by(B) == 0


# What others say.


def given_up_after(*accusers: PeerId, strangers: int = 0) -> tuple[float, int]:
    """Return when a silent member is given up that these accuse, and by how many."""
    watch = Watch(B, C, D, E)
    watch.talking = {C, D, E}
    made_up = [PeerId(f"made up {number}") for number in range(strangers)]
    statements = [statement(StatementKind.SUSPECT, B, 0, author) for author in (*made_up, *accusers)]
    watch.run(3.0)
    watch.take(*statements)
    watch.run(60.0)
    return watch.at(Died), watch.all(Died)[0].by


def test_members_alone_shorten_a_suspicion_and_find_room_among_made_up_accusers() -> None:
    assert given_up_after(strangers=40) == given_up_after()
    assert given_up_after(C, D, strangers=40) == given_up_after(C, D)
    assert given_up_after(C, D)[0] < given_up_after()[0]
    assert given_up_after(C, D)[1] == 3


def test_made_up_accusers_beyond_the_bound_are_neither_asked_after_nor_passed_on() -> None:
    watch = Watch(B, C)
    watch.talking = {C}
    watch.run(1.0)
    for number in range(20):
        watch.take(suspect(B, by=f"made up {number:02}"))
    said = [one.author for _ in range(3) for one in watch.detector.statements_for(C)]
    assert set(said) == {PeerId(f"made up {number:02}") for number in range(16)}


def test_accusations_by_others_alone_never_give_anybody_up() -> None:
    """Neither many accusers nor high incarnations: whoever talks to us is alive."""
    watch = Watch(B, *(PeerId(f"liar-{number}") for number in range(30)))
    watch.talking = {B}

    def lie() -> None:
        for number in range(30):
            watch.take(suspect(B, by=f"liar-{number}", incarnation=2**50))

    watch.run(30.0, each=lie)
    assert not [effect for effect in watch.all(Suspected) if effect.peer == B]
    assert not [effect for effect in watch.all(Died) if effect.peer == B]
    assert len(watch.detector._members[B].accusers) <= MAX_ACCUSERS


def test_an_accusation_has_a_quiet_member_asked_at_once() -> None:
    watch = Watch(B, C)
    watch.talking = {C}
    watch.run(1.0)
    assert not watch.all(Ask)
    watch.take(suspect(B, by=C))
    assert [ask.peer for ask in watch.all(Ask)] == [B]


def test_a_refutation_that_comes_through_others_clears_a_suspect() -> None:
    watch = Watch(B, C)
    watch.talking = {C}
    while not watch.all(Suspected):
        watch.run(TIMING.tick_s)
    watch.take(alive(B, 0))
    assert watch.detector.suspected_by(B) == 1, "the incarnation that was suspected refutes nothing"
    watch.take(alive(B, 1))
    assert watch.detector.suspected_by(B) == 0
    assert [back.peer for back in watch.all(Returned)] == [B]


def test_an_accused_peer_refutes_with_the_next_incarnation_and_ignores_lives_it_never_led() -> None:
    watch = Watch(B)
    watch.take(suspect(ME, by=B, incarnation=BOOT + 5))
    assert watch.detector.statements_for(B) == ()
    watch.take(suspect(ME, by=B, incarnation=BOOT))
    (said,) = watch.detector.statements_for(B)
    assert (said.kind, said.subject, said.incarnation) == (StatementKind.ALIVE, ME, BOOT + 1)
    watch.take(suspect(ME, by=B, incarnation=0))  # knows no incarnation of ours: the present one answers it
    assert [said.incarnation for said in watch.detector.statements_for(B)] == [BOOT + 1]
    assert watch.detector.health.score == 0, "a liar could blind us"


def test_an_own_suspicion_goes_along_with_messages_to_the_suspect_first() -> None:
    watch = Watch(B, C)
    watch.talking = {C}
    while not watch.all(Suspected):
        watch.run(TIMING.tick_s)
    said = watch.detector.statements_for(B)
    assert (said[0].kind, said[0].subject, said[0].author) == (StatementKind.SUSPECT, B, ME)


# The own event loop.


def test_a_pause_of_this_process_accuses_nobody() -> None:
    watch = Watch(B, C, D)
    watch.talking = {B, C, D}
    watch.run(5.0)
    watch.now += 60.0  # SIGSTOP, laptop sleep
    watch.talking = set()
    watch.note(watch.detector.tick(watch.now))
    assert watch.detector.health.score == MAX_SCORE
    watch.run(3.0)
    watch.talking = {B, C, D}
    watch.run(5.0)
    assert not watch.all(Suspected)


def test_a_pause_in_the_middle_of_a_suspicion_does_not_end_it() -> None:
    watch = Watch(B)
    while not watch.all(Suspected):
        watch.run(TIMING.tick_s)
    watch.now += 60.0
    watch.note(watch.detector.tick(watch.now))
    assert not watch.all(Died)
    watch.talking = {B}
    watch.run(1.0)
    assert watch.all(Returned)


def test_a_pause_prolongs_a_suspicion_by_its_own_length() -> None:
    died_after = {}
    for pause_s in (0.0, 60.0):
        watch = Watch(B)
        while not watch.all(Suspected):
            watch.run(TIMING.tick_s)
        watch.run(1.0)
        watch.now += pause_s
        watch.run(30.0)
        died_after[pause_s] = watch.at(Died) - watch.at(Suspected)
    assert died_after[60.0] == pytest.approx(60.0 + died_after[0.0], abs=2 * TIMING.tick_s)


def test_a_late_loop_waits_longer_and_recovers() -> None:
    watch = Watch(B)
    watch.talking = {B}
    watch.run(5.0, step_s=1.0)
    assert watch.detector.health.score > 3
    watch.run(20.0)
    assert watch.detector.health.score == 0


# Bounds.


def test_a_partition_of_many_asks_a_bounded_number_at_a_time_and_gives_all_up() -> None:
    peers = [PeerId(f"peer-{number:02}") for number in range(63)]
    watch = Watch(*peers)
    watch.run(2.0)
    assert len(watch.all(Ask)) == MAX_ASKED
    watch.run(120.0)
    assert {died.peer for died in watch.all(Died)} == set(peers)


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_whatever_happens_a_member_dies_once_and_only_after_a_suspicion(seed: int, size: int) -> None:
    rng = random.Random(seed)
    peers = [PeerId(f"peer-{number}") for number in range(size)]
    watch = Watch(*peers, seed=seed)

    def something() -> None:
        watch.talking = {peer for peer in peers if rng.random() < 0.2} if rng.random() < 0.1 else watch.talking
        if rng.random() < 0.2:
            watch.take(suspect(rng.choice(peers), by=rng.choice(peers), incarnation=rng.randrange(3)))
        if rng.random() < 0.1:
            watch.take(alive(rng.choice(peers), rng.randrange(5)))
        for ask in watch.all(AskThrough)[-3:]:
            if rng.random() < 0.3:
                reached = rng.random() < 0.5
                watch.note(watch.detector.helper_answered(ask.helper, ask.target, watch.now, reached=reached))

    watch.run(60.0, each=something)
    for peer in peers:
        states = [type(effect) for effect in (e for _, e in watch.seen) if getattr(effect, "peer", None) == peer]
        verdicts = [kind for kind in states if kind in (Suspected, Returned, Died)]
        assert verdicts.count(Died) <= 1
        for before, after in zip([Returned, *verdicts], verdicts, strict=False):
            assert (before is Returned) is (after is Suspected), verdicts
