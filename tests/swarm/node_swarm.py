"""Whole peers in one process and in virtual time: `node.run_peer` on the in-memory network, seeded and replayable.

What is real: everything that a peer is made of, down to signatures and snapshots on disk. What is not: the network,
the clock, the learner (`NumpyAgent`), and threads (disks are written in place).
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import trio
from trio.testing import MockClock

from peer.admission.allow_list import AllowListFile, Authority
from peer.admission.policy import AdmissionPolicy, FoundList
from peer.agents.numpy_agent import NumpyAgent
from peer.common_model import common_schema
from peer.config.schema import Config, EnvConfig, RunConfig, VariantConfig
from peer.errors import StorageError
from peer.network.deterministic_schedule import deterministic_scheduling
from peer.network.discovery.source import DiscoverySource
from peer.network.identity import Identity
from peer.network.memory_network import LinkProfile, MemoryNetwork, lognormal_latency
from peer.network.memory_transport import MemoryTransport, open_memory_transport
from peer.node import Outcome, run_peer
from peer.peer_parts import PeerParts
from peer.round_parts import wire_run_id
from peer.rounds.entry import Entry
from peer.rounds.sealed_rounds import decode_sealed
from peer.rounds.snapshot import decode_snapshot
from peer.services.archive import Archive
from peer.services.book_keeping import BOOK_FILE
from peer.storage.journal import JOURNAL_FILE, Journal
from peer.storage.proofs_file import PROOFS_FILE
from peer.storage.snapshots import SNAPSHOTS_FOLDER, SnapshotStore
from peer.telemetry.counters import Counters
from peer.telemetry.event import Event
from peer.telemetry.names import NameBook
from peer.telemetry.round_events import RoundFinal, RoundSealed
from peer.telemetry.sink import RecordingSink
from peer.types import Digest, PeerId, Seconds, TrainStats
from peer.wire.admission import ChallengeAnswer, encode
from tests.in_place import in_place
from tests.unit.storage.journals import held

T = TypeVar("T")
E = TypeVar("E", bound=Event)

CALM = LinkProfile(latency=lognormal_latency(0.01, 0.4))
LOSSY = LinkProfile(latency=lognormal_latency(0.02, 0.5), gossip_loss=0.1, request_loss=0.05, loss_delay_s=1.0)


def demo_config(*, name: str = "virtual", **sections: dict[str, Any]) -> Config:  # Any: fields of the sections
    """Return the default configuration with sections altered: `demo_config(stop={"max_rounds": 5})`."""
    env = EnvConfig(variants={f"variant-{number}": VariantConfig() for number in range(4)})
    config = Config(run=RunConfig(name=name), env=env)
    changed = {key: getattr(config, key).model_copy(update=values) for key, values in sections.items()}
    return config.model_copy(update=changed)


def play(seed: int, scenario: Callable[[], Awaitable[T]]) -> T:
    """Run `scenario` in virtual time, in an order of events that depends on `seed` alone."""
    with deterministic_scheduling(seed):
        return trio.run(scenario, clock=MockClock(autojump_threshold=0))


class EveryAddress:
    """A source that names every peer of the swarm, as a service's DNS name does; ourselves included."""

    name = "swarm"

    def __init__(self, swarm: "NodeSwarm") -> None:
        self._swarm = swarm

    async def addresses(self) -> list[str]:
        await trio.lowlevel.checkpoint()
        return sorted(node.address for node in self._swarm.nodes)


class SlowAgent(NumpyAgent):
    """Takes `slowness` times as long for its steps as it is given: a machine that is too weak for the swarm."""

    slowness = 10.0

    async def train(self, *, seconds: Seconds) -> TrainStats:
        stats = await super().train(seconds=seconds)
        await trio.sleep(seconds * (self.slowness - 1))
        return stats


@dataclass
class Node:
    """One peer over all its lives. `sink` and `counters` are those of the latest.

    twin_of: whose identity it runs with, as a copy of that one's folder would; None: its own.
    """

    number: int
    config: Config
    folder: Path | None
    agent_type: type[NumpyAgent] = NumpyAgent
    admission: AdmissionPolicy = field(default_factory=AdmissionPolicy)
    new_list: bytes | None = None
    num_params: int = 64
    twin_of: int | None = None
    identity: Identity = field(init=False)
    sink: RecordingSink = field(default_factory=RecordingSink)
    counters: Counters = field(default_factory=Counters)
    names: NameBook = field(default_factory=NameBook)
    agent: NumpyAgent | None = None
    transport: MemoryTransport | None = None
    outcome: Outcome | None = None
    boots: int = 0
    is_running: bool = False
    life: trio.CancelScope = field(default_factory=trio.CancelScope)
    times: list[tuple[Seconds, RoundSealed]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draw_session()

    def draw_session(self) -> None:
        """Take the identity up for another life."""
        key = self.number if self.twin_of is None else self.twin_of
        self.identity = Identity.for_tests(key + 1, life=self.number << 20 | self.boots)

    @property
    def peer_id(self) -> PeerId:
        return self.identity.peer_id

    @property
    def address(self) -> str:
        return f"/memory/peer-{self.number}"

    def emit(self, event: Event) -> None:
        """Record with the time, as the sink of the peer."""
        if isinstance(event, RoundSealed):
            self.times.append((trio.current_time(), event))
        self.sink.emit(event)

    def events(self, kind: type[E]) -> list[E]:
        return [event for event in self.sink.events if isinstance(event, kind)]

    def changed(self) -> FoundList | None:
        """Return the allow-list that its user has put into its file since the last look."""
        data, self.new_list = self.new_list, None
        return None if data is None else FoundList("swarm.json", data)

    def keep(self, newest: AllowListFile) -> None:
        """Keep no allow-list between lives."""

    def last_round(self) -> int:
        return self.times[-1][1].round if self.times else 0

    def finals(self) -> dict[int, Digest]:
        return {event.round: event.model for event in self.events(RoundFinal)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRound:
    """One round as a peer's journal has it. env_steps: by peer, of the deltas that were admitted."""

    number: int
    digest: Digest
    sealer: PeerId
    env_steps: dict[PeerId, int]


class NodeSwarm:
    """Peers `0..size-1` on one in-memory network; open it as an async context manager, then `start` some.

    folder: where peers keep snapshots and journals between lives; None for peers without a disk.
    """

    def __init__(
        self,
        size: int,
        *,
        seed: int,
        config: Config | None = None,
        profile: LinkProfile = CALM,
        folder: Path | None = None,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.network = MemoryNetwork(seed, profile=profile)
        self.nodes = [
            Node(
                number=number,
                config=config or demo_config(),
                folder=None if folder is None else folder / f"peer-{number}",
            )
            for number in range(size)
        ]
        self.sources: dict[int, list[DiscoverySource]] = {}
        """How a peer finds others, where not by the addresses of all."""

        self._nursery: trio.Nursery | None = None
        self._stack: Any = None  # the nursery's context manager, entered and left by ours

    async def __aenter__(self) -> "NodeSwarm":
        self._stack = trio.open_nursery()
        self._nursery = await self._stack.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
        await self._stack.__aexit__(*error)

    # Life and death

    def start(self, *numbers: int) -> None:
        """Start these peers now; all of them without arguments."""
        assert self._nursery is not None
        for number in numbers or range(len(self.nodes)):
            self.nodes[number].is_running = True
            self._nursery.start_soon(self._live, self.nodes[number])

    async def start_spread(self, over_s: Seconds = 1.0) -> None:
        """Start all peers at random moments of the next `over_s` seconds, as containers do."""
        moments = sorted((self.rng.uniform(0.0, over_s), node.number) for node in self.nodes)
        for before, (moment, number) in zip([0.0, *(moment for moment, _ in moments)], moments, strict=False):
            await trio.sleep(moment - before)
            self.start(number)

    def stop(self, number: int) -> None:
        """Tell a peer to end, as SIGTERM does: it saves its state and takes its leave."""
        self.nodes[number].life.cancel()

    def crash(self, number: int) -> None:
        """Kill a peer: nothing is saved, nobody is told."""
        self.network.crash(self.nodes[number].peer_id)

    async def _live(self, node: Node) -> None:
        """One life, from opening the network to the outcome or the crash."""
        node.boots += 1
        node.draw_session()
        node.sink, node.counters, node.names = RecordingSink(), Counters(), NameBook()
        local_seed = self.seed << 20 | node.number << 10 | node.boots
        node.agent = node.agent_type(seed=node.config.run.seed, local_seed=local_seed, num_params=node.num_params)
        try:
            async with open_memory_transport(
                self.network, node.peer_id, node.address, session=node.identity.session
            ) as transport:
                node.transport = transport
                with trio.CancelScope() as node.life:
                    node.outcome = await run_peer(node.config, self._parts(node, transport))
        finally:
            node.is_running = False

    def _parts(self, node: Node, transport: MemoryTransport) -> PeerParts:
        assert node.agent is not None
        return PeerParts(
            agent=node.agent,
            transport=transport,
            signer=node.identity,
            sources=self.sources.get(node.number, [EveryAddress(self)]),
            sink=node,
            names=node.names,
            counters=node.counters,
            rng=random.Random(f"{self.seed}/{node.number}/{node.boots}"),
            name=f"peer-{node.number}",
            boot=node.boots,
            admission=node.admission,
            allow_lists=node,
            root=self._root(node),
            archive=self._archive(node),
            denied_file=None if node.folder is None else node.folder / PROOFS_FILE,
            book_file=None if node.folder is None else node.folder / BOOK_FILE,
            state_file=None if node.folder is None else node.folder / "training.json",
            blocking=in_place,
        )

    def _archive(self, node: Node) -> Archive | None:
        if node.folder is None:
            return None
        node.folder.mkdir(parents=True, exist_ok=True)
        journal = Journal(node.folder / JOURNAL_FILE, max_bytes=1 << 24)
        every = node.config.round.snapshot_every
        return Archive(journal, self._snapshots(node), snapshot_every=every, sink=node, blocking=in_place)

    def _snapshots(self, node: Node) -> SnapshotStore:
        assert node.folder is not None
        return SnapshotStore(node.folder / SNAPSHOTS_FOLDER, keep=3)

    def _root(self, node: Node) -> Entry | None:
        if node.folder is None or node.agent is None:
            return None
        try:
            found = self._snapshots(node).load_newest().snapshot
        except StorageError:
            return None
        if found is None:
            return None
        schema = common_schema(node.config, node.agent.schema)
        return decode_snapshot(found.content, run=wire_run_id(node.config), schema=schema)

    def journal(self, number: int) -> list[SealedRound]:
        """Read back what a peer has written to disk; it may be running."""
        node = self.nodes[number]
        assert node.folder is not None, "the swarm was made without a folder"
        run = wire_run_id(node.config)
        entries = [decode_sealed(entry.data, run=run) for entry in held(node.folder / JOURNAL_FILE)]
        return [
            SealedRound(
                number=entry.round,
                digest=entry.digest,
                sealer=entry.sealer,
                env_steps=dict(entry.env_steps_by_peer()),
            )
            for entry in entries
            if entry.sealer is not None
        ]

    # Waiting for things to happen

    async def until(self, condition: Callable[[], bool], *, within_s: Seconds) -> Seconds:
        """Wait for a state of the swarm; return how long it took.

        Raises: AssertionError, with the state of every peer, when it does not come about in time.
        """
        started = trio.current_time()
        while not condition():
            if trio.current_time() - started > within_s:
                raise AssertionError(f"seed {self.seed}: not within {within_s} s of virtual time: {self.describe()}")
            await trio.sleep(0.05)
        return trio.current_time() - started

    async def until_finished(self, *numbers: int, within_s: Seconds = 300.0) -> list[Outcome]:
        """Wait until these peers (default: all) have come to the agreed end; return how it was for each."""
        nodes = [self.nodes[number] for number in numbers or range(len(self.nodes))]
        await self.until(lambda: all(node.outcome is not None for node in nodes), within_s=within_s)
        return [node.outcome for node in nodes if node.outcome is not None]

    async def until_round(self, number: int, *peers: int, within_s: Seconds = 60.0) -> Seconds:
        """Wait until these peers (default: the running ones) have applied round `number`."""
        nodes = [self.nodes[peer] for peer in peers] or [node for node in self.nodes if node.is_running]
        return await self.until(lambda: all(node.last_round() >= number for node in nodes), within_s=within_s)

    def describe(self) -> str:
        return "; ".join(
            f"peer-{node.number} {'runs' if node.is_running else 'is down'} at round {node.last_round()},"
            f" sees {len(node.transport.connected_peers()) if node.transport else 0}"
            for node in self.nodes
        )


def check_finals(nodes: Sequence[Node]) -> int:
    """Check that no two peers hold different models for a round that is final on both; return how many agree."""
    agreed: dict[int, tuple[int, Digest]] = {}
    compared = 0
    for node in nodes:
        for round_number, model in node.finals().items():
            other, known = agreed.setdefault(round_number, (node.number, model))
            compared += other != node.number
            assert known == model, f"round {round_number}: peer-{other} and peer-{node.number} hold other models"
    return compared


WELCOME = encode(ChallengeAnswer(None, Authority().policy(), 0, ""))
"""What a peer of an open swarm answers to whoever examines it."""
