"""Many failure detectors on one made-up clock, whose processes do not always run: no sockets, no tasks, no real time.

A process that is held up neither looks at its clock, nor answers, nor sends; what was sent to it waits.
"""

import random
from dataclasses import dataclass, field
from functools import partial

from peer.membership.detector import FailureDetector
from peer.membership.effects import Ask, AskThrough, Died, MemberEffect, Suspected
from peer.membership.timing import Timing
from peer.types import PeerId, Seconds
from peer.wire.membership import SignedStatement, StatementKind
from tests.unit.membership.statements import statement

STEP_S = 0.05
RTT_S = 0.1
CHATTER_S = 3.0
"""Every peer sends something to every other so often: libp2p's pings; rounds would bring more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalls:
    """How a process is scheduled: a stall every `every_s` on average, of lognormal length, at most `longest_s`."""

    every_s: Seconds
    median_s: Seconds
    sigma: float
    longest_s: Seconds

    def draw(self, rng: random.Random) -> Seconds:
        return min(self.longest_s, rng.lognormvariate(0.0, self.sigma) * self.median_s)


@dataclass(slots=True)
class Process:
    detector: FailureDetector
    runs_at: Seconds = 0.0
    ticks_at: Seconds = 0.0
    chats_at: Seconds = 0.0
    inbox: list[tuple[Seconds, partial[None]]] = field(default_factory=list)


class BusySwarm:
    """verdicts: (when, of whom, verdict) of all peers."""

    def __init__(self, size: int, *, stalls: Stalls, seed: int) -> None:
        self.rng = random.Random(seed)
        self.stalls = stalls
        self.now: Seconds = 0.0
        self.peers = [PeerId(f"peer-{number}") for number in range(size)]
        self.dead: set[PeerId] = set()
        self.verdicts: list[tuple[Seconds, PeerId, MemberEffect]] = []
        self.processes = {peer: Process(self._detector(peer)) for peer in self.peers}
        for peer, process in self.processes.items():
            process.chats_at = self.rng.uniform(0.0, CHATTER_S)
            process.detector.members(frozenset(self.peers) - {peer}, 0.0)

    def run(self, seconds: Seconds) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += STEP_S
            for peer, process in self.processes.items():
                if peer not in self.dead and self.now >= process.runs_at:
                    self._turn(peer, process)

    def _detector(self, me: PeerId) -> FailureDetector:
        def make_statement(kind: StatementKind, subject: PeerId, incarnation: int) -> SignedStatement:
            return statement(kind, subject, incarnation, me)

        return FailureDetector(
            me, incarnation=1 << 20, make_statement=make_statement, draw=self.rng.sample, now=0.0, timing=Timing()
        )

    def _turn(self, peer: PeerId, process: Process) -> None:
        due = [act for at, act in process.inbox if at <= self.now]
        process.inbox = [(at, act) for at, act in process.inbox if at > self.now]
        for act in due:
            act()
        if self.now >= process.ticks_at:
            process.ticks_at = self.now + process.detector._timing.tick_s
            self._carry_out(peer, process.detector.tick(self.now))
        if self.now >= process.chats_at:
            process.chats_at = self.now + CHATTER_S
            for other in self.peers:
                if other != peer:
                    self._send(peer, other, partial(self._hear, other, peer))
        if self.rng.random() < STEP_S / self.stalls.every_s:
            process.runs_at = self.now + self.stalls.draw(self.rng)

    def _send(self, source: PeerId, target: PeerId, act: partial[None]) -> None:
        if source not in self.dead and target not in self.dead:
            self.processes[target].inbox.append((self.now + self.rng.uniform(0.2, 1.0) * RTT_S / 2, act))

    def _hear(self, me: PeerId, other: PeerId) -> None:
        self._carry_out(me, self.processes[me].detector.heard(other, self.now))

    def _carry_out(self, me: PeerId, effects: list[MemberEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Ask):
                said = self.processes[me].detector.statements_for(effect.peer)
                self._send(me, effect.peer, partial(self._asked, effect.peer, me, said))
            elif isinstance(effect, AskThrough):
                self._send(me, effect.helper, partial(self._errand, effect.helper, me, effect.target))
            elif isinstance(effect, Suspected | Died):
                self.verdicts.append((self.now, me, effect))

    def _asked(self, me: PeerId, asker: PeerId, said: tuple[SignedStatement, ...]) -> None:
        self._hear(me, asker)
        self._carry_out(me, self.processes[me].detector.receive(said, self.now))
        answer = self.processes[me].detector.statements_for(asker)
        self._send(me, asker, partial(self._answered, asker, me, answer))

    def _answered(self, me: PeerId, peer: PeerId, said: tuple[SignedStatement, ...]) -> None:
        self._carry_out(me, self.processes[me].detector.receive(said, self.now))
        self._carry_out(me, self.processes[me].detector.answered(peer, self.now))

    def _errand(self, me: PeerId, asker: PeerId, target: PeerId) -> None:
        self._send(me, target, partial(self._errand_at_target, target, me, asker))

    def _errand_at_target(self, me: PeerId, helper: PeerId, asker: PeerId) -> None:
        self._send(me, helper, partial(self._errand_done, helper, asker, me))

    def _errand_done(self, me: PeerId, asker: PeerId, target: PeerId) -> None:
        self._send(me, asker, partial(self._vouched, asker, me, target))

    def _vouched(self, me: PeerId, helper: PeerId, target: PeerId) -> None:
        self._carry_out(me, self.processes[me].detector.helper_answered(helper, target, self.now, reached=True))
