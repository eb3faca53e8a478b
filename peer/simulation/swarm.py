"""A swarm of simulated peers: who is made how, who starts, crashes, comes back, and is cut off when."""

import random
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from peer.common_model import codecs_of, common_schema, own_codec, with_first_memory
from peer.config.schema import Config
from peer.rounds.entry import Entry, genesis
from peer.rounds.machine import Aggregate, Parts, RoundMachine
from peer.rounds.snapshot import decode_snapshot, encode_snapshot
from peer.simulation.attacks.attack import Insight
from peer.simulation.attacks.registry import make_attack
from peer.simulation.courier import Courier
from peer.simulation.event_loop import EventLoop
from peer.simulation.judge import Judge
from peer.simulation.learner import Subject
from peer.simulation.peer_life import PeerLife
from peer.simulation.post import Post
from peer.simulation.scenario import Partition, Scenario
from peer.simulation.shared_work import SharedAggregate, SharedCodec, SharedWork
from peer.simulation.signing import Notary
from peer.types import Digest
from peer.wire.envelope import run_id_of

RUN = run_id_of("simulation", 0)
CONFIG = Digest(b"simulation".ljust(32, b"."))
_START_SPREAD_S = 1.0
_DOWN_S = (5.0, 30.0)
_SEQUENCE_SHIFT = 20
"""Room for a million headers in each life of a peer."""


class Swarm:
    """Peers `0..peers-1`, started within the first second. `judge` watches everything that they report."""

    def __init__(
        self, scenario: Scenario, subject: Subject, aggregate: Aggregate, *, config: Config | None = None
    ) -> None:
        """config: codec and outer optimizer come from it; None: the defaults."""
        config = config or Config()
        self.scenario = scenario
        self.subject = subject
        self.loop = EventLoop()
        self.post = Post(
            scenario.peers, seed=scenario.seed, loss=scenario.loss, latency_s=scenario.latency_s, jitter=scenario.jitter
        )
        self._rng = random.Random(f"{scenario.seed}/swarm")
        self._notary = Notary(scenario.seed)
        self._pure = SharedWork(scenario.peers, verify=self._notary.verify)
        self._aggregate = SharedAggregate(aggregate)
        self._codecs = {name: SharedCodec(codec, scenario.peers) for name, codec in codecs_of(config).items()}
        self._codec = own_codec(config, subject.schema)
        self._schema = common_schema(config, subject.schema)
        self._genesis = genesis(RUN, self._schema, CONFIG, with_first_memory(config, subject.initial()))
        self.insight = Insight()
        kinds = dict(scenario.attackers)
        self.peers = [self._make_peer(number, kinds.get(number)) for number in range(scenario.peers)]
        self.judge = Judge(self.peers, self.post, self.loop, evaluate=self._evaluate)
        self.courier = Courier(scenario, self.loop, self.post, self.peers, self.judge, self.insight)
        self._plan()

    def run(self) -> None:
        """Run until every honest peer that is alive holds the last round as final, or patience is over."""
        self.loop.run(until=self.scenario.patience_s, done=lambda: self.judge.is_over)
        self.judge.look()

    # Life and death

    def start(self, number: int) -> None:
        """Start or restart a peer, from its disk if there is something on it."""
        peer = self.peers[number]
        if peer.is_alive:
            return
        peer.life += 1
        root = self._fresh_genesis() if peer.disk is None else self._from_disk(peer.disk)
        learner = self.subject.learner(number, peer.life)
        if peer.attack is not None:
            learner = peer.attack.corrupt(learner, self.subject.initial())
        peer.begin_life(self._machine(peer, root), learner, train_s=self.scenario.rules.train_s, now=self.loop.now)
        self.courier.begin_life(peer)

    def crash(self, number: int, *, keeps_disk: bool) -> None:
        """Kill a peer. keeps_disk: it wrote its tip a moment before; else it comes back with nothing."""
        peer = self.peers[number]
        peer.disk = encode_snapshot(peer.tip) if keeps_disk and peer.tip.manifest is not None else None
        peer.is_alive = False
        self.courier.reconnect()

    def cut(self, partition: Partition) -> None:
        """Cut the peers into groups by number."""
        bounds = np.cumsum([round(share * len(self.peers)) for share in partition.shares])
        self._rewire(np.searchsorted(bounds, np.arange(len(self.peers)), side="right").astype(np.int32))

    def heal(self) -> None:
        """Mend all links."""
        self._rewire(np.zeros(len(self.peers), np.int32))

    def _rewire(self, group: npt.NDArray[np.int32]) -> None:
        self.post.group = group
        self.judge.rewired()
        self.courier.reconnect()

    # What happens when

    def _plan(self) -> None:
        for peer in self.peers:
            self.loop.at(self._rng.uniform(0.0, _START_SPREAD_S), partial(self.start, peer.number))
        for partition in self.scenario.partitions:
            self.loop.at(partition.start_s, partial(self.cut, partition))
            self.loop.at(partition.end_s, self.heal)
        if self.scenario.churn:
            self.loop.at(_START_SPREAD_S, self._plan_crash)

    def _plan_crash(self) -> None:
        """Crashes come at random moments, at a rate that gives `churn` crashes a peer and minute."""
        per_s = self.scenario.churn * len(self.peers) / 60.0
        self.loop.after(self._rng.expovariate(per_s), self._crash_somebody)

    def _crash_somebody(self) -> None:
        alive = [peer.number for peer in self.peers if peer.is_alive]
        if self.judge.is_ending:
            return  # whoever has come to the end has nothing to lose
        if 2 * len(alive) > len(self.peers) + 1:  # the swarm is to be hurt, not to be gone
            number = self._rng.choice(alive)
            self.crash(number, keeps_disk=self._rng.random() < 0.5)
            self.loop.after(self._rng.uniform(*_DOWN_S), partial(self.start, number))
        self._plan_crash()

    # Making peers

    def _make_peer(self, number: int, kind: str | None) -> PeerLife:
        signer = self._notary.signer(number)
        spread = self.scenario.speed_spread
        attack = None
        if kind is not None:
            attack = make_attack(kind, signer, run=RUN, insight=self.insight, seed=(self.scenario.seed, number))
        return PeerLife(number=number, signer=signer, speed=self._rng.uniform(1 - spread, 1 + spread), attack=attack)

    def _evaluate(self, entry: Entry) -> float:
        assert entry.state is not None, "the judge asks for applied entries"
        return self.subject.evaluate(entry.state)

    def _machine(self, peer: PeerLife, root: Entry) -> RoundMachine:
        parts = Parts(
            signer=peer.signer,
            run=RUN,
            schema=self._schema,
            rules=self.scenario.rules,
            codecs=self._codecs,  # type: ignore[arg-type]  # it passes on what it does not change
            codec=self._codec,
            aggregate=self._aggregate,
            pure=self._pure,
        )
        return RoundMachine(parts, root=root, sequence=peer.life << _SEQUENCE_SHIFT, now=self.loop.now)

    def _fresh_genesis(self) -> Entry:
        """Return a round 0 of its own: a machine writes to the entries that it holds."""
        return replace(self._genesis)

    def _from_disk(self, data: bytes) -> Entry:
        return decode_snapshot(data, run=RUN, schema=self._schema, pure=self._pure)
