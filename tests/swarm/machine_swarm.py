"""A discrete-event world around many `RoundMachine`s: seeded, no clock, no sockets, thousands of rounds a second.

Training is a draw of random numbers whose `env_steps` is a fresh power of two for every stretch, so that anybody can
read off a chain which stretch of which peer it counts, and how often.
"""

import random
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from peer.aggregation.step import aggregator
from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds import pure_work
from peer.rounds.effects import (
    Applied,
    Effect,
    Equivocated,
    FetchPayload,
    FetchSnapshot,
    OpenRound,
    Publish,
    SyncWith,
)
from peer.rounds.entry import Entry, genesis
from peer.rounds.machine import LocalWork, Parts, RoundMachine
from peer.rounds.rules import RoundRules
from peer.rounds.snapshot import decode_snapshot, encode_snapshot
from peer.services.pace import Pace
from peer.types import Digest, ModelDelta, ModelSchema, ModelState, Moments, PeerId
from peer.wire.envelope import open_envelope
from peer.wire.messages import Announcement, decode_announcement
from tests.swarm.agenda import Agenda
from tests.swarm.final_watch import FinalWatch
from tests.swarm.swarm_member import Faults, Member

RUN = b"r" * 16
SCHEMA = ModelSchema(num_params=6, num_moments=2, digest=Digest(b"s" * 32), tensors=(("weight", 4), ("bias", 2)))
CONFIG = Digest(b"c" * 32)
# Checking a signature is a pure function and most of the cost: the members of one process share the answers.
vars(pure_work)["open_envelope"] = lru_cache(maxsize=4096)(open_envelope)
LATE_ROUNDS = 2
TOLD_APART = 47
"""Stretches of a peer that are told apart; later ones count one env step each, or no header could announce them all."""


def first_entry() -> Entry:
    state = ModelState(params=np.zeros(6, np.float32), moments=Moments.empty(2))
    return genesis(RUN, SCHEMA, CONFIG, state)


class MachineSwarm:
    """Peers `0..size-1`; those in `late` start when `start(number)` is called.

    paced: they train as `peer/services/pace.py` has it; else each for `train_s`, so that work is late more often.
    """

    def __init__(
        self, size: int, *, seed: int, rules: RoundRules | None = None, faults: Faults | None = None, late: int = 0
    ) -> None:
        self.rng = random.Random(seed)
        self.rules = rules or RoundRules()
        self.faults = faults or Faults()
        self.watch = FinalWatch()
        self.conflicts: list[str] = []
        self._agenda = Agenda()
        self.members: list[Member] = []
        self.by_id: dict[PeerId, Member] = {}
        self.entries: dict[Digest, Entry] = {}
        self.paced = False
        for number in range(size):
            self._add(number, started=number < size - late)
        self._watch()

    # Life and death

    def _add(self, number: int, *, started: bool) -> None:
        identity = Identity.for_tests(number + 1)
        member = Member(
            number=number, identity=identity, machine=self._machine(identity, first_entry(), 0, now=self.now)
        )
        member.speed = self.rng.uniform(0.9, 1.1)
        member.alive = False
        self.members.append(member)
        self.by_id[identity.peer_id] = member
        if started:
            self.after(self.rng.uniform(0.0, 1.0), lambda: self.start(number))

    def _machine(self, identity: Identity, root: Entry, sequence: int, *, now: float) -> RoundMachine:
        parts = Parts(
            signer=identity,
            run=RUN,
            schema=SCHEMA,
            rules=self.rules,
            codecs=CODECS,
            codec="float32",
            aggregate=aggregator("mean"),
        )
        return RoundMachine(parts, root=root, sequence=sequence, now=now)

    def start(self, number: int) -> None:
        """Start or restart a peer, from its disk if it saved anything."""
        member = self.members[number]
        root = decode_snapshot(member.disk, run=RUN, schema=SCHEMA) if member.disk else first_entry()
        member.life += 1
        member.wake_at = None
        member.rounds_open = 0
        member.final = {}
        member.identity = Identity.for_tests(number + 1, life=member.life)  # another session
        member.machine = self._machine(member.identity, root, member.life << 20, now=self.clock(member))
        member.pace = Pace(member.identity.peer_id, train_s=self.rules.train_s, env_steps=None)
        member.alive = True
        self._carry_out(member, member.machine.start(self.clock(member)))
        self.connect_all()
        self._sync_later(member, member.life)

    def crash(self, number: int) -> None:
        self.members[number].alive = False
        self.connect_all()

    def save(self, number: int) -> None:
        """Write the tip to the member's disk; on a full disk what was written before stays."""
        member, tip = self.members[number], self.members[number].machine.tip
        if member.disk_full:
            member.unsaved += 1
        elif tip.manifest is not None:
            member.disk = encode_snapshot(tip)

    def rewire(self, blocked: Callable[[int, int], bool]) -> None:
        """Cut and mend links."""
        self.faults.blocked = blocked
        self.watch.rewired(self.now)
        self.connect_all()

    def connect_all(self) -> None:
        """Tell every live peer whom it can reach now."""
        for member in self.members:
            if member.alive:
                others = frozenset(
                    other.identity.peer_id
                    for other in self.members
                    if other.alive and other is not member and not self.faults.blocked(member.number, other.number)
                )
                self._carry_out(member, member.machine.reachable(others, self.clock(member)))

    # Time

    @property
    def now(self) -> float:
        return self._agenda.now

    def after(self, delay: float, action: Callable[[], None]) -> None:
        self._agenda.after(delay, action)

    def run(self, seconds: float) -> None:
        self._agenda.run(seconds)

    # Links

    def _passes(self, a: Member, b: Member) -> bool:
        return b.alive and not self.faults.cuts(a.number, b.number) and not self.faults.loses(self.rng)

    def _wake_later(self, member: Member) -> None:
        """Call `tick` when the machine asks for it and at no other time, as the real loop does."""
        wake = member.machine.next_wake()
        wake = None if wake is None else wake - member.clock_ahead_s
        if wake is None or (member.wake_at is not None and self.now < member.wake_at <= wake):
            return  # nothing to wake for, or a call that is already planned comes first and looks again
        member.wake_at = at = max(wake, self.now + 0.005)
        life = member.life

        def tick() -> None:
            if member.life == life and member.wake_at == at:
                member.wake_at = None
                self._to(member, life, lambda machine: machine.tick(self.clock(member)))

        self.after(at - self.now, tick)

    def _sync_later(self, member: Member, life: int) -> None:
        def sync() -> None:
            if member.alive and member.life == life:
                others = [other for other in self.members if other.alive and other is not member]
                if others:
                    self._sync(member, self.rng.choice(others))
                self.after(2.0, sync)

        self.after(self.rng.uniform(0.1, 2.0), sync)

    def _sync(self, member: Member, other: Member) -> None:
        """One request and answer; the answer is made when the request arrives."""
        life, source = member.life, other.identity.peer_id
        request = member.machine.sync_request()

        def answer() -> None:
            if self._passes(member, other) and self.now >= other.paused_until:
                response = other.machine.answer_sync(request, source=member.identity.peer_id)
                self.after(
                    self.faults.delay(self.rng),
                    lambda: self._to(
                        member,
                        life,
                        lambda m: m.receive_sync(response, source=source, now=self.clock(member), asked=request),
                    ),
                )

        self.after(self.faults.delay(self.rng), answer)

    def clock(self, member: Member) -> float:
        """Return the member's own monotonic clock: no two need agree, and a suspended machine's jumps ahead."""
        return self.now + member.clock_ahead_s

    def suspend(self, number: int, seconds: float) -> None:
        """Let a member's clock jump ahead, as after a suspended machine wakes: all its deadlines are over at once."""
        member = self.members[number]
        member.clock_ahead_s += seconds
        if member.alive:
            self._to(member, member.life, lambda machine: machine.tick(self.clock(member)))

    def pause(self, number: int, seconds: float) -> None:
        """Freeze a process; what arrives meanwhile waits, and its connections stay."""
        self.members[number].paused_until = self.now + seconds

    def _to(self, member: Member, life: int, act: Callable[[RoundMachine], list[Effect]]) -> None:
        if self.now < member.paused_until:
            self.after(member.paused_until - self.now, lambda: self._to(member, life, act))
        elif member.alive and member.life == life:
            self._carry_out(member, act(member.machine))

    # Effects

    def _carry_out(self, member: Member, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    self._publish(member, effect)
                case FetchPayload():
                    self._fetch(member, effect.payload, list(effect.holders))
                case FetchSnapshot():
                    self._fetch_snapshot(member, effect)
                case SyncWith():
                    self._sync(member, self.by_id[effect.peer])
                case OpenRound():
                    self._train(member, effect)
                case Applied():
                    self.entries[effect.entry.digest] = effect.entry
                case Equivocated():
                    self.conflicts.append(f"honest {effect.proof.peer[-6:]} was proven a liar: {effect.proof.what}")
                case _:
                    member.note(effect)
        if member.alive:
            self._wake_later(member)

    def _publish(self, sender: Member, effect: Publish) -> None:
        message = decode_announcement(effect.data)
        for other in self.members:
            if other is sender or (effect.to is not None and other.identity.peer_id not in effect.to):
                continue
            copies = 2 if self.rng.random() < self.faults.duplicate else 1
            for _ in range(copies):
                if self._passes(sender, other):
                    self._deliver(sender, other, message)

    def _deliver(self, sender: Member, other: Member, message: Announcement) -> None:
        source, life = sender.identity.peer_id, other.life
        self.after(
            self.faults.delay(self.rng),
            lambda: self._to(
                other, life, lambda m: m.receive(message.envelope, payload=None, source=source, now=self.clock(other))
            ),
        )

    def _fetch(self, member: Member, payload: Digest, holders: list[PeerId]) -> None:
        others = [self.by_id[peer] for peer in holders if self.by_id[peer] is not member]
        others += [other for other in self.members if other is not member and other not in others]
        life = member.life
        for other in others:
            if self._passes(member, other) and (data := other.machine.blob(payload)) is not None:
                arrive = partial(RoundMachine.receive_payload, payload=payload, data=self.faults.pulled(data, self.rng))
                self.after(2 * self.faults.delay(self.rng), partial(self._arrive, member, life, arrive))
                return
        self.after(0.5, lambda: self._to(member, life, lambda m: m.payload_failed(payload, self.clock(member))))

    def _arrive(self, member: Member, life: int, act: Callable[..., list[Effect]]) -> None:
        self._to(member, life, lambda machine: act(machine, now=self.clock(member)))

    def _fetch_snapshot(self, member: Member, effect: FetchSnapshot) -> None:
        holder, life, blob = self.by_id[effect.holder], member.life, Digest(effect.offer.blob)
        data = holder.machine.blob(blob) if self._passes(member, holder) else None
        if data is None:
            self.after(0.5, lambda: self._to(member, life, lambda m: m.payload_failed(blob, self.clock(member))))
            return
        found = self.faults.pulled(data, self.rng)
        self.after(
            2 * self.faults.delay(self.rng),
            lambda: self._to(
                member, life, lambda m: m.receive_snapshot(blob, found, source=effect.holder, now=self.clock(member))
            ),
        )

    def _train(self, member: Member, effect: OpenRound) -> None:
        member.train_token += 1
        member.rounds_open += 1
        token, life = member.train_token, member.life

        def finish() -> None:
            if self.now < member.paused_until:
                self.after(member.paused_until - self.now, finish)
            elif self._is_training(member, life, token):
                member.rounds_open = 0
                self._carry_out(
                    member, member.machine.announce(self._work(member, effect.base.digest), self.clock(member))
                )

        # A peer that was overtaken hands over what it has, as the real trainer does.
        overtaken = member.rounds_open > LATE_ROUNDS
        self.after(0.05 if overtaken else self._training_s(member, effect.base), finish)

    def _training_s(self, member: Member, base: Entry) -> float:
        if not self.paced:
            return self.rules.train_s * member.speed
        member.pace.note(base)
        return member.pace.seconds * member.speed

    def _is_training(self, member: Member, life: int, token: int) -> bool:
        return member.alive and member.life == life and member.train_token == token and not member.machine.finished

    def _work(self, member: Member, base: Digest) -> LocalWork:
        steps = 1 << member.bits if member.bits < TOLD_APART else 1
        member.bits += 1
        noise = np.asarray([self.rng.gauss(0, 1e-3) for _ in range(6)], np.float32)
        moments = Moments(count=np.full(2, 3.0), mean=np.full(2, self.rng.random()), m2=np.full(2, self.rng.random()))
        return LocalWork(
            base=base,
            env_steps=steps,
            delta=ModelDelta(params=noise, moments=moments),
            steps_per_s=1000 + member.number,
            approx_kl=0.0,
            mean_return=None,
            eval_return=self.eval_return(member),
            tasks=("standard",),
        )

    def eval_return(self, member: Member) -> float | None:
        """Overridden by tests of the stop rule."""
        return None

    def _watch(self) -> None:
        self.conflicts += self.watch.look(self.alive, self.faults, self.now)
        self.after(1.0, self._watch)

    # What can be read off it

    @property
    def alive(self) -> list[Member]:
        return [member for member in self.members if member.alive]

    def chain(self, tip: Entry) -> list[Entry]:
        """Return the manifests from the first round to `tip`, far beyond any window: somebody applied each of them."""
        line = [tip]
        while (parent := self.entries.get(line[-1].parent)) is not None:
            line.append(parent)
        assert line[-1].round <= 1
        return line[::-1]

    def tips(self) -> set[Digest]:
        return {member.machine.tip.digest for member in self.alive}

    def agreed_round(self) -> int:
        """Return the highest round that all live peers hold alike."""
        lines = [{entry.round: entry.digest for entry in member.machine.line()} for member in self.alive]
        common = set.intersection(*(set(line.items()) for line in lines))
        return max((round_number for round_number, _ in common), default=-1)

    def counted(self, tip: Entry) -> dict[int, int]:
        """Return the stretches of each peer that the chain to `tip` counts, as bits; fail when one counts twice."""
        counted: dict[int, int] = {}
        for entry in self.chain(tip):
            for peer, env_steps in entry.env_steps_by_peer():
                number = self.by_id[peer].number
                before = counted.get(number, 0)
                assert not before & env_steps, f"peer {number}: twice by round {entry.round}"
                counted[number] = before | env_steps
        return counted
