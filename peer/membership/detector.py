"""The failure detector as one state machine: life signs and clock readings in, questions and verdicts out.

A member is, in this order: *heard* (bytes of it came lately), *asked* (directly, then through helpers), *suspected*
(nobody reached it; it may still answer, or refute), *dead* (its time is over). Only this peer's own questions lead to
a suspicion here: what others say makes it ask at once, and makes an own suspicion shorter (docs/adr/0043).

Sources: Das et al. 2002, "SWIM"; Dadgar et al. 2017, "Lifeguard".
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from peer.membership.effects import Ask, AskThrough, Died, MemberEffect, Returned, Suspected
from peer.membership.health import LocalHealth
from peer.membership.rumours import Rumours
from peer.membership.timing import Timing, expected_confirmations, suspicion_s
from peer.types import PeerId, Seconds
from peer.wire.membership import SignedStatement, StatementKind

MAX_ASKED = 16
"""Members asked at a time; the most silent first."""

MAX_ACCUSERS = 16
"""Others' suspicions kept for each member: more than could shorten anything. Members' displace others', and they alone
shorten it."""

MAX_BURIED = 256
"""Dead ones remembered, so that a return is told; beyond it the oldest is forgotten."""

Draw = Callable[[Sequence[PeerId], int], list[PeerId]]
"""Draw so many different ones at random: `random.Random.sample`."""

MakeStatement = Callable[[StatementKind, PeerId, int], SignedStatement]
"""Sign a statement of this peer's own: kind, subject, incarnation."""


@dataclass(slots=True, kw_only=True)
class _Question:
    """A question to a member that has not been answered.

    deadline: of the phase. last: the second phase, through `helpers`, or once more directly where there are none.
    refused: helpers who failed to reach it.
    """

    deadline: Seconds
    last: bool = False
    helpers: frozenset[PeerId] = frozenset()
    refused: set[PeerId] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class _Member:
    """What is known of one member.

    heard_at: the last life sign. accusers: who else does not reach it, in its present life.
    """

    heard_at: Seconds
    incarnation: int = 0
    question: _Question | None = None
    suspected_at: Seconds | None = None
    accusers: set[PeerId] = field(default_factory=set)
    dead: bool = False


class FailureDetector:
    """One peer's view of who is alive."""

    def __init__(
        self, me: PeerId, *, incarnation: int, make_statement: MakeStatement, draw: Draw, now: Seconds, timing: Timing
    ) -> None:
        """incarnation: higher than in any earlier life of this identity."""
        self._me = me
        self._incarnation = incarnation
        self._make_statement = make_statement
        self._draw = draw
        self._timing = timing
        self._looked_at = now
        self._spread_at = now
        self._members: dict[PeerId, _Member] = {}
        self._buried: dict[PeerId, Seconds] = {}
        self._rumours = Rumours()
        self.health = LocalHealth()

    # What the surroundings may look at

    def silent_s(self, peer: PeerId, now: Seconds) -> Seconds | None:
        """Return how long nothing came of a member, None of others."""
        member = self._members.get(peer)
        return None if member is None else max(0.0, now - member.heard_at)

    def suspected_by(self, peer: PeerId) -> int:
        """Return how many peers suspect a member, this one included; 0 unless this one does."""
        member = self._members.get(peer)
        return 0 if member is None or member.suspected_at is None else 1 + self._num_accusers(member)

    def statements_for(self, peer: PeerId) -> tuple[SignedStatement, ...]:
        """Return what goes along with the next message to `peer`."""
        return self._rumours.batch(peer, members=len(self._members))

    # Events

    def members(self, peers: frozenset[PeerId], now: Seconds) -> list[MemberEffect]:
        """Say who is connected and admitted; a newcomer has just been heard."""
        for peer in self._members.keys() - peers:
            del self._members[peer]
        effects: list[MemberEffect] = []
        for peer in sorted(peers - self._members.keys() - {self._me}):
            self._members[peer] = _Member(heard_at=now)
            died_at = self._buried.pop(peer, None)
            if died_at is not None:
                effects.append(Returned(peer=peer, silent_s=now - died_at))
        return effects

    def heard(self, peer: PeerId, at: Seconds) -> list[MemberEffect]:
        """Say when the last bytes of a member came in."""
        member = self._members.get(peer)
        if member is None or member.dead or at <= member.heard_at:
            return []
        silent_s, member.heard_at, member.question = at - member.heard_at, at, None
        return self._clear(peer, member, silent_s)

    def answered(self, peer: PeerId, now: Seconds) -> list[MemberEffect]:
        """Say that a member answered a question."""
        self.health.better()
        return self.heard(peer, now)

    def helper_answered(self, helper: PeerId, target: PeerId, now: Seconds, *, reached: bool) -> list[MemberEffect]:
        """Say whether a helper reached the target of an `AskThrough`."""
        member = self._members.get(target)
        if member is None or member.question is None or helper not in member.question.helpers:
            return []
        if reached:  # there for others: not dead, whatever is wrong between it and us
            return self.heard(target, now)
        member.question.refused.add(helper)
        return []

    def receive(self, statements: Iterable[SignedStatement], now: Seconds) -> list[MemberEffect]:
        """Take in what others say; their signatures have been checked."""
        effects: list[MemberEffect] = []
        for statement in statements:
            if statement.author == self._me:
                continue
            if statement.kind is StatementKind.ALIVE:
                effects += self._refuted(statement, now)
            elif statement.subject == self._me:
                self._refute(statement)
            else:
                effects += self._accused(statement, now)
        return effects

    def tick(self, now: Seconds) -> list[MemberEffect]:
        """Look at the clock; call it every `timing.tick_s`."""
        self._note_lateness(now)
        effects: list[MemberEffect] = []
        for peer, member in self._members.items():
            if member.question is not None:
                effects += self._pursue(peer, member, member.question, now)
            if member.suspected_at is not None and not member.dead:
                effects += self._judge(peer, member, member.suspected_at, now)
        return [*effects, *self._ask_silent(now), *self._spread(now)]

    # Time

    def _note_lateness(self, now: Seconds) -> None:
        """Count time in which this process did not run for nothing: nobody could have been heard in it."""
        elapsed_s = now - self._looked_at
        late_s = elapsed_s - self._timing.tick_s
        self._looked_at = now
        if late_s <= self._timing.held_up_s:
            self.health.punctual(elapsed_s)
            return
        self.health.worse(1 + int(late_s))
        for member in self._members.values():
            member.heard_at = min(now, member.heard_at + late_s)
            if member.question is not None:
                member.question.deadline += late_s
            if member.suspected_at is not None:
                member.suspected_at += late_s

    def _wait_s(self, seconds: Seconds) -> Seconds:
        return seconds * self.health.multiplier

    # Questions

    def _ask_silent(self, now: Seconds) -> list[MemberEffect]:
        limit = now - self._timing.quiet_s
        silent = [
            peer
            for peer, member in self._members.items()
            if member.question is None and not member.dead and member.heard_at <= limit
        ]
        silent.sort(key=lambda peer: (self._members[peer].heard_at, peer))
        asked = sum(member.question is not None for member in self._members.values())
        return [self._ask(peer, now) for peer in silent[: max(0, MAX_ASKED - asked)]]

    def _ask(self, peer: PeerId, now: Seconds) -> Ask:
        within_s = self._wait_s(self._timing.direct_s)
        self._members[peer].question = _Question(deadline=now + within_s)
        return Ask(peer=peer)

    def _pursue(self, peer: PeerId, member: _Member, question: _Question, now: Seconds) -> list[MemberEffect]:
        """Go on with a question whose time is over: through helpers first, then to a suspicion."""
        all_refused = bool(question.helpers) and question.refused == question.helpers
        if now < question.deadline and not all_refused:
            return []
        if not question.last:
            helpers = self._helpers_for(peer)
            within_s = self._wait_s(self._timing.indirect_s)
            member.question = _Question(deadline=now + within_s, last=True, helpers=frozenset(helpers))
            if not helpers:
                return [Ask(peer=peer)]
            return [AskThrough(helper=helper, target=peer) for helper in helpers]
        if not all_refused:  # helpers who could not even say no: the fault may be ours
            self.health.worse()
        member.question = None
        return self._suspect(peer, member, now)

    def _helpers_for(self, target: PeerId) -> list[PeerId]:
        able = sorted(
            peer
            for peer, member in self._members.items()
            if peer != target and member.question is None and member.suspected_at is None
        )
        return self._draw(able, min(self._timing.helpers, len(able)))

    # Suspicion

    def _suspect(self, peer: PeerId, member: _Member, now: Seconds) -> list[MemberEffect]:
        if member.suspected_at is not None:
            return []
        member.suspected_at = now
        self._rumours.add(self._make_statement(StatementKind.SUSPECT, peer, member.incarnation))
        return [
            Suspected(
                peer=peer,
                silent_s=now - member.heard_at,
                by=self.suspected_by(peer),
                left_s=self._suspicion_s(member),
            )
        ]

    def _suspicion_s(self, member: _Member) -> Seconds:
        expected = expected_confirmations(len(self._members), timing=self._timing)
        return suspicion_s(self._num_accusers(member), expected=expected, timing=self._timing)

    def _num_accusers(self, member: _Member) -> int:
        """Return how many members accuse one: anybody can make up others, and sign in their names."""
        return len(self._members.keys() & member.accusers)

    def _judge(self, peer: PeerId, member: _Member, suspected_at: Seconds, now: Seconds) -> list[MemberEffect]:
        if now < suspected_at + self._suspicion_s(member):
            return []
        died = Died(peer=peer, silent_s=now - member.heard_at, by=self.suspected_by(peer))
        member.dead, member.question = True, None
        self._buried.pop(peer, None)
        self._buried[peer] = member.heard_at
        if len(self._buried) > MAX_BURIED:
            del self._buried[next(iter(self._buried))]
        return [died]

    def _clear(self, peer: PeerId, member: _Member, silent_s: Seconds) -> list[MemberEffect]:
        member.accusers.clear()
        if member.suspected_at is None:
            return []
        member.suspected_at = None
        return [Returned(peer=peer, silent_s=silent_s)]

    # What others say

    def _accused(self, statement: SignedStatement, now: Seconds) -> list[MemberEffect]:
        """Another does not reach a member: ask it ourselves, unless it was heard just now."""
        member = self._members.get(statement.subject)
        if member is None or member.dead or statement.incarnation < member.incarnation:
            return []
        quiet = now - member.heard_at > self._timing.tick_s
        if not quiet or statement.author in member.accusers or not self._make_room(member, statement.author):
            return []
        member.accusers.add(statement.author)
        self._rumours.add(statement)
        return [self._ask(statement.subject, now)] if member.question is None else []

    def _make_room(self, member: _Member, accuser: PeerId) -> bool:
        """Return whether there is room for another accuser, at the cost of one that is no member if need be."""
        if len(member.accusers) < MAX_ACCUSERS:
            return True
        strangers = member.accusers - self._members.keys()
        if accuser not in self._members or not strangers:
            return False
        member.accusers.remove(min(strangers))
        return True

    def _refute(self, statement: SignedStatement) -> None:
        """Say that this peer lives.

        Unlike in Lifeguard the local health stays as it is: or one liar, by accusing again and again, would make this
        peer slow to suspect anybody.
        """
        if statement.incarnation > self._incarnation:
            return  # of a life that we have never led: a lie
        if statement.incarnation == self._incarnation:
            self._incarnation += 1
        self._rumours.add(self._make_statement(StatementKind.ALIVE, self._me, self._incarnation))

    def _refuted(self, statement: SignedStatement, now: Seconds) -> list[MemberEffect]:
        member = self._members.get(statement.subject)
        if member is None or member.dead or statement.incarnation <= member.incarnation:
            return []
        member.incarnation = statement.incarnation
        self._rumours.forget(statement.subject, below=statement.incarnation)
        self._rumours.add(statement)
        return self.heard(statement.subject, now)

    def _spread(self, now: Seconds) -> list[MemberEffect]:
        """Send a message for the statements' sake, where no other has taken them along."""
        if not self._rumours or now < self._spread_at:
            return []
        self._spread_at = now + self._timing.spread_s
        able = sorted(peer for peer, member in self._members.items() if member.question is None and not member.dead)
        return [Ask(peer=self._draw(able, 1)[0])] if able else []
