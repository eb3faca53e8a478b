"""One peer, put together: the parts, the one nursery that all services live in, and how it ends."""

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from peer.admission.allow_list import AllowList
from peer.admission.policy import AdmissionPolicy
from peer.agents.agent import Agent
from peer.aggregation.kernels import Kernels
from peer.codec.choice import choose_codec
from peer.codec.registry import make_codecs
from peer.common_model import aggregation, bad_peers_withstood, common_schema, first_state
from peer.config.digest import digest, run_id
from peer.config.schema import DENSE_RULES, Config
from peer.native import AggregationKernels, NativeCodecKernels
from peer.network.announce import MAX_ANNOUNCED, Announced
from peer.network.discovery.backoff import RedialPolicy
from peer.network.discovery.book import BookDiscovery
from peer.network.discovery.source import DiscoverySource
from peer.network.transport import Transport
from peer.rounds.effects import Applied, Effect, SnapshotApplied
from peer.rounds.entry import Entry, genesis
from peer.rounds.grouping import num_rows
from peer.rounds.machine import Parts, RoundMachine
from peer.rounds.rules import RoundRules
from peer.services.admission import AdmissionDesk
from peer.services.archive import Archive
from peer.services.conductor import Conductor, Observer
from peer.services.denial import DenialDesk
from peer.services.discovery import Seeker
from peer.services.greeting import Greeter, Welcome
from peer.services.loneliness import LonelinessWatch
from peer.services.meeting import Cards, Meeting
from peer.services.membership import Membership
from peer.services.punctuality import watch_punctuality
from peer.services.relay import Relay
from peer.services.reporting import Reporter, Robustness, greedy_return
from peer.services.service import RunBlocking, in_thread
from peer.services.sessions import SessionDesk
from peer.services.status import Running
from peer.services.task_plan import RosterTaskPlan
from peer.services.training import Trainer, TrainingPlan
from peer.services.uploads import Uploads
from peer.services.watch import StuckWatch
from peer.tasks.catalogue import env_tasks
from peer.telemetry.counters import Counters
from peer.telemetry.events import OwnIdentityRunsTwice
from peer.telemetry.names import NameBook
from peer.telemetry.sink import EventSink
from peer.types import ModelSchema, PeerId, Seconds
from peer.wire.envelope import Signed, Signer, seal
from peer.wire.messages import PeerCard
from peer.wire.sync import BLOB_PROTOCOL, RELAY_PROTOCOL

REQUEST_S = 5.0
"""Deadline of one small request or one chunk: far above any healthy round trip, below a round's deadline."""

_BOOT_SHIFT = 20
"""Header sequences start at boot * 2^20: higher than in any earlier life of the identity."""
_LINGER_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerParts:
    """What one peer is made of; the parts are open and ready. root: where to start, None for genesis.
    admission: who may take part; everybody by default. keep_allow_list: stores a newer one. reread_allow_list: returns
    the user's file when it has changed.

    kernels: arithmetic of aggregation, the core's on one thread if None. name: for the logs of others.
    state_file: optimizer state on disk. ready: called before the first training step.
    announced: the addresses that others are told, what the transport listens on if None. book_file: of peers that
    were met, kept between lives.
    running: called once with the parts that tell the peer's status, when they work.
    denied_file: of proofs against others, kept between lives.
    newer_boot: told the boot number of a newer process with our identity.
    blocking: how the disk is written to; the archive has its own.
    """

    agent: Agent
    transport: Transport
    signer: Signer
    sources: Sequence[DiscoverySource]
    sink: EventSink
    names: NameBook
    counters: Counters
    rng: random.Random
    name: str
    boot: int
    admission: AdmissionPolicy = field(default_factory=AdmissionPolicy)
    keep_allow_list: Callable[[AllowList], None] = lambda _: None
    reread_allow_list: Callable[[], bytes | None] = lambda: None
    root: Entry | None = None
    archive: Archive | None = None
    state_file: Path | None = None
    kernels: Kernels | None = None
    ready: Callable[[], None] = lambda: None
    running: Callable[[Running], None] = lambda _: None
    announced: Announced | None = None
    book_file: Path | None = None
    denied_file: Path | None = None
    newer_boot: Callable[[int], None] = lambda _: None
    blocking: RunBlocking = in_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended here. stop: why the peers agreed to stop, "" when this peer was told to.

    superseded_by: the newer process that runs with this peer's identity, and so ended the run here; None otherwise.
    """

    tip: Entry
    stop: str
    mean_return: float
    wall_s: Seconds
    superseded_by: OwnIdentityRunsTwice | None = None


class Ending:
    """An observer that notices the agreed end of the run and remembers the last known return."""

    def __init__(self, root: Entry) -> None:
        """root: where this peer starts; a peer that was restarted after the end has nothing left to do."""
        self.reached = trio.Event()
        self.mean_return = math.nan
        self._look_at(root)

    def observe(self, effect: Effect) -> None:
        if isinstance(effect, Applied | SnapshotApplied):
            self._look_at(effect.entry)

    def _look_at(self, entry: Entry) -> None:
        value = greedy_return(entry)
        self.mean_return = value if math.isfinite(value) else self.mean_return
        if entry.stop:
            self.reached.set()


def wire_run_id(config: Config) -> bytes:
    """Return the 16 bytes that every envelope of the run carries."""
    return bytes(run_id(config))[:16]


def round_rules(config: Config) -> RoundRules:
    return RoundRules(
        train_s=config.round.train_s,
        grace_s=config.round.grace_s,
        backup_gap_s=config.round.backup_gap_s,
        miss_limit=config.round.miss_limit,
        history=max(config.round.staleness_limit, config.round.miss_limit) + 2,
        by_steps=config.round.env_steps is not None,
        partition=config.round.partition,
        stop_return=config.stop.mean_return,
        stop_rounds=config.stop.max_rounds,
    )


def local_seed(config: Config, peer: PeerId) -> int:
    """Return the seed of this peer's own episodes and actions: another for every peer, the same in every life."""
    text = f"murmuration local seed {config.run.seed} {peer}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def round_parts(config: Config, *, schema: ModelSchema, signer: Signer, kernels: Kernels | None = None) -> Parts:
    """Return what a round machine is made of, or whoever replays its rounds later (`murmur log --verify`).

    schema: of the agent. kernels: of aggregation, those of the core on one thread if None.
    """
    sparse = config.aggregation.rule not in DENSE_RULES  # headers with a sparse codec are refused where it is
    return Parts(
        signer=signer,
        run=wire_run_id(config),
        schema=common_schema(config, schema),
        rules=round_rules(config),
        codecs=make_codecs(NativeCodecKernels(), top_k_fraction=config.round.top_k_fraction, sparse=sparse),
        codec=choose_codec(config.round.codec, num_params=schema.num_params, sparse=sparse),
        aggregate=aggregation(config, kernels or AggregationKernels()),
    )


def first_entry(config: Config, agent: Agent) -> Entry:
    """Return round 0 of the run. Call it before the agent has trained: its model is the seeded initial one."""
    return genesis(wire_run_id(config), agent.schema, digest(config), first_state(config, agent))


async def run_peer(config: Config, parts: PeerParts) -> Outcome:
    """Take part in the run until the peers agree to stop, or the caller cancels; then say how it ended.

    On cancellation the state is saved under a shield first.
    """
    started = trio.current_time()
    parts.transport.admit(frozenset())  # nobody yet: who connected meanwhile has not been greeted
    machine = _machine(config, parts)
    ending = Ending(machine.tip)
    me = parts.signer.peer_id
    trainer: Trainer
    reporter = Reporter(me, sink=parts.sink, counters=parts.counters, robustness=_robustness(config))
    watch = StuckWatch(
        machine,
        me=me,
        train_s=config.round.train_s,
        every_s=config.log.waiting_every_s,
        sink=parts.sink,
        names=parts.names,
    )
    observers: list[Observer] = [reporter, watch, ending]
    if parts.archive is not None:
        parts.archive.take_payloads_from(machine.blob)
        observers.append(parts.archive)
    conductor = Conductor(
        machine,
        transport=parts.transport,
        observers=observers,
        open_round=lambda opened: trainer.open_round(opened),
        counters=parts.counters,
        rng=parts.rng,
        anti_entropy_s=config.round.anti_entropy_s,
        request_s=REQUEST_S,
    )
    trainer = _trainer(config, parts, conductor)
    denial = _denial(config, parts, admitted=lambda: greeter.greeted, concerns=lambda peer: desk.concerns(peer))
    desk = _desk(config, parts, denial)
    observers += [_SaveTrainer(trainer, every=config.round.snapshot_every), denial]
    conductor.allow(desk.allowed)
    conductor.deny(denial.denied)
    meeting = _meeting(config, parts)
    sessions = _sessions(config, parts, meeting)
    greeter = _greeter(
        config,
        parts,
        meeting,
        lambda peers: _tell_reachable(peers, conductor, membership),
        desk=desk,
        sessions=sessions,
        allow=conductor.allow,
    )
    meeting.take_greeted_from(lambda: greeter.greeted)
    denial.changed = lambda denied: _part_from(denied, conductor, greeter)
    membership = _membership(config, parts, greeter)
    _serve_blobs(parts, conductor, greeter)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(conductor.serve)
            await nursery.start(denial.serve)
            await nursery.start(greeter.serve)
            await nursery.start(membership.serve)
            await nursery.start(meeting.serve)
            await nursery.start(_seeker(config, parts, meeting, sessions).serve)
            await nursery.start(trainer.serve)
            _start_watches(nursery, parts, watch, conductor, greeter)
            if parts.archive is not None:
                await nursery.start(parts.archive.serve)
            parts.running(
                Running(
                    machine=machine,
                    greeter=greeter,
                    membership=membership,
                    watch=watch,
                    reporter=reporter,
                    transport=parts.transport,
                    meeting=meeting,
                    denial=denial,
                    admission=desk,
                    sessions=sessions,
                )
            )
            nursery.start_soon(_leave_to_newer, sessions, nursery.cancel_scope)
            await ending.reached.wait()
            await _linger(machine, linger_s=config.stop.linger_s)
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            for service in (trainer, meeting, denial):
                await service.save()
            if parts.archive is not None:
                await parts.archive.flush(machine.tip)
    return Outcome(
        tip=machine.tip,
        stop=machine.tip.stop,
        mean_return=ending.mean_return,
        wall_s=trio.current_time() - started,
        superseded_by=sessions.newer,
    )


def _serve_blobs(parts: PeerParts, conductor: Conductor, greeter: Greeter) -> None:
    """Hand out what the machine holds, and fetch on request for admitted peers that cannot reach a holder."""
    machine = conductor.machine
    relay = Relay(
        has=lambda blob: machine.blob(blob) is not None,
        fetch=conductor.fetch_for,
        helps=lambda peer: peer in greeter.greeted,
    )
    uploads = Uploads(lambda blob: machine.blob(blob) or relay.find(blob))
    parts.transport.handle_download(BLOB_PROTOCOL, uploads.serve)
    parts.transport.handle(RELAY_PROTOCOL, relay.answer)


async def _leave_to_newer(sessions: SessionDesk, run: trio.CancelScope) -> None:
    await sessions.superseded()
    run.cancel()


def _start_watches(
    nursery: trio.Nursery, parts: PeerParts, watch: StuckWatch, conductor: Conductor, greeter: Greeter
) -> None:
    """Start what says that something is wrong which no event says."""
    loneliness = LonelinessWatch(
        me=parts.signer.peer_id,
        tip=lambda: conductor.machine.tip,
        connected=lambda: greeter.greeted,
        exchanges=conductor.exchanges,
        sink=parts.sink,
    )
    nursery.start_soon(watch.serve)
    nursery.start_soon(loneliness.serve)
    nursery.start_soon(watch_punctuality, parts.sink)


class _SaveTrainer:
    """Has the optimizer state saved as often as the model."""

    def __init__(self, trainer: Trainer, *, every: int) -> None:
        self._trainer = trainer
        self._every = every

    def observe(self, effect: Effect) -> None:
        if isinstance(effect, Applied) and effect.entry.round % self._every == 0:
            self._trainer.want_save()


def _robustness(config: Config) -> Robustness | None:
    """In groups the claim is about groups: whoever seals for one can lie for all of it (docs/adr/0035)."""
    rules = round_rules(config)

    def claim(peers: int) -> int:
        return bad_peers_withstood(config.aggregation, num_rows(peers, rules))

    return Robustness(rule=config.aggregation.rule, withstands=claim) if claim(rules.flat_peers) else None


async def _linger(machine: RoundMachine, *, linger_s: Seconds) -> None:
    """Stay to serve the last manifest until every reachable member has it, but not for ever."""
    with trio.move_on_after(linger_s):
        while not machine.members_finished():  # noqa: ASYNC110  # ten looks a second, once in a run
            await trio.sleep(_LINGER_LOOK_S)
        await trio.sleep(_LINGER_LOOK_S)  # our own ack is still on its way to those who wait for it


def _machine(config: Config, parts: PeerParts) -> RoundMachine:
    root = parts.root or first_entry(config, parts.agent)
    machine_parts = round_parts(config, schema=parts.agent.schema, signer=parts.signer, kernels=parts.kernels)
    return RoundMachine(machine_parts, root=root, sequence=parts.boot << _BOOT_SHIFT, now=trio.current_time())


def _trainer(config: Config, parts: PeerParts, conductor: Conductor) -> Trainer:
    return Trainer(
        parts.agent,
        TrainingPlan(
            train_s=config.round.train_s,
            env_steps=config.round.env_steps,
            ahead_s=config.round.staleness_limit * config.round.train_s,
            eval_every=config.round.eval_every,
            eval_episodes=config.stop.episodes,
            eval_seed=config.stop.seed,
        ),
        RosterTaskPlan(parts.signer.peer_id, env_tasks(config.env), sink=parts.sink, names=parts.names),
        me=parts.signer.peer_id,
        announce=conductor.announce,
        tip=lambda: conductor.machine.tip.digest,
        started=parts.ready,
        sink=parts.sink,
        state_file=parts.state_file,
        blocking=parts.blocking,
    )


def _tell_reachable(peers: frozenset[PeerId], conductor: Conductor, membership: Membership) -> None:
    conductor.reachable(peers)
    membership.reachable(peers)


def _part_from(denied: frozenset[PeerId], conductor: Conductor, greeter: Greeter) -> None:
    conductor.deny(denied)
    greeter.reconsider()


def _denial(
    config: Config,
    parts: PeerParts,
    *,
    admitted: Callable[[], frozenset[PeerId]],
    concerns: Callable[[PeerId], bool],
) -> DenialDesk:
    return DenialDesk(
        parts.transport,
        run=wire_run_id(config),
        file=parts.denied_file,
        sink=parts.sink,
        rng=random.Random(f"denial {parts.signer.peer_id} {parts.boot}"),
        blocking=parts.blocking,
        admitted=admitted,
        concerns=concerns,
    )


def _membership(config: Config, parts: PeerParts, greeter: Greeter) -> Membership:
    return Membership(
        parts.transport,
        signer=parts.signer,
        run=wire_run_id(config),
        incarnation=parts.boot << _BOOT_SHIFT,
        give_up=greeter.give_up,
        sink=parts.sink,
        counters=parts.counters,
        rng=random.Random(f"membership {parts.signer.peer_id} {parts.boot}"),
    )


def _meeting(config: Config, parts: PeerParts) -> Meeting:
    return Meeting(
        parts.transport,
        cards=_cards(config, parts),
        run=wire_run_id(config),
        book_file=parts.book_file,
        sink=parts.sink,
        counters=parts.counters,
        rng=random.Random(f"meeting {parts.signer.peer_id} {parts.boot}"),
        blocking=parts.blocking,
        exchange_s=config.network.rediscover_s,
        request_s=REQUEST_S,
    )


def _desk(config: Config, parts: PeerParts, denial: DenialDesk) -> AdmissionDesk:
    return AdmissionDesk(
        parts.transport,
        run=wire_run_id(config),
        policy=parts.admission,
        sink=parts.sink,
        rng=random.Random(f"admission {parts.signer.peer_id} {parts.boot}"),
        keep=parts.keep_allow_list,
        reread=parts.reread_allow_list,
        denied=denial.objection,
    )


def _sessions(config: Config, parts: PeerParts, meeting: Meeting) -> SessionDesk:
    return SessionDesk(
        parts.transport,
        run=wire_run_id(config),
        card=meeting.cards.public.message,
        signer=parts.signer,
        sink=parts.sink,
        request_s=REQUEST_S,
        newer_boot=parts.newer_boot,
    )


def _cards(config: Config, parts: PeerParts) -> Cards:
    run = wire_run_id(config)
    listening = parts.transport.listen_addresses
    announced = parts.announced or Announced(public=listening, local=listening)

    def card(addresses: tuple[str, ...]) -> Signed[PeerCard]:
        told = PeerCard(
            boot=parts.boot,
            name=parts.name,
            addresses=addresses[:MAX_ANNOUNCED],
            config=digest(config),
            schema=parts.agent.schema.digest,
        )
        return seal(told, parts.signer, run=run)

    return Cards(public=card(announced.public), local=card(announced.local))


def _greeter(
    config: Config,
    parts: PeerParts,
    meeting: Meeting,
    reachable: Callable[[frozenset[PeerId]], None],
    *,
    desk: AdmissionDesk,
    sessions: SessionDesk,
    allow: Callable[[frozenset[PeerId] | None], None],
) -> Greeter:
    return Greeter(
        parts.transport,
        Welcome(run=wire_run_id(config), card=meeting.cards.public),
        reachable=reachable,
        allow=allow,
        sink=parts.sink,
        names=parts.names,
        counters=parts.counters,
        request_s=REQUEST_S,
        card_for=meeting.card_for,
        learn=meeting.learn,
        desk=desk,
        sessions=sessions,
    )


def _seeker(config: Config, parts: PeerParts, meeting: Meeting, sessions: SessionDesk) -> Seeker:
    network = config.network
    return Seeker(
        parts.transport,
        [*parts.sources, BookDiscovery(meeting.book, me=parts.signer.peer_id)],
        sink=parts.sink,
        redial=RedialPolicy(first_s=network.redial_min_s, cap_s=network.redial_max_s),
        rediscover_s=network.rediscover_s,
        rng=parts.rng,
        book=meeting.book,
        max_peers=network.max_connections,
        twin=sessions.answered_elsewhere,
    )
