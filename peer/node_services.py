"""The services of one peer, each made from the config and from what the peer is made of."""

import random
from collections.abc import Callable

import trio

from peer.common_model import bad_peers_withstood
from peer.config.digest import digest, section_hints
from peer.config.schema import Config
from peer.network.announce import MAX_ANNOUNCED, Announced
from peer.network.discovery.backoff import RedialPolicy
from peer.network.discovery.book import AddressBook, BookDiscovery
from peer.peer_parts import PeerParts
from peer.round_parts import first_entry, round_parts, round_rules, wire_run_id
from peer.rounds.effects import OpenRound
from peer.rounds.grouping import num_rows
from peer.rounds.machine import RoundMachine
from peer.services.admission import AdmissionDesk
from peer.services.allow_lists import AllowListDesk
from peer.services.book_keeping import BookKeeper
from peer.services.conductor import Conductor
from peer.services.denial import DenialDesk
from peer.services.dial_back import DialBackDesk
from peer.services.discovery import Seeker
from peer.services.greeting import Greeter
from peer.services.loneliness import LonelinessWatch
from peer.services.meeting import Meeting
from peer.services.membership import Membership
from peer.services.pace import Pace
from peer.services.peer_exchange import PeerExchange
from peer.services.reachability import Reachability
from peer.services.relay import Relay
from peer.services.reporting import Reporter, Robustness
from peer.services.sessions import SessionDesk
from peer.services.stuck_watch import StuckWatch
from peer.services.task_plan import RosterTaskPlan
from peer.services.training import Trainer, TrainingPlan
from peer.services.training_state import TrainingStateKeeper
from peer.services.uploads import Uploads
from peer.services.welcome import Welcome
from peer.tasks.catalogue import env_tasks
from peer.types import PeerId
from peer.wire.envelope import Signed, seal
from peer.wire.messages import PeerCard
from peer.wire.sync import BLOB_PROTOCOL, RELAY_PROTOCOL

REQUEST_S = 5.0
"""Deadline of one small request or one chunk: far above any healthy round trip, below a round's deadline."""

_BOOT_SHIFT = 20
"""Header sequences start at boot * 2^20: higher than in any earlier life of the identity."""


def serve_blobs(parts: PeerParts, conductor: Conductor, greeter: Greeter) -> Relay:
    """Hand out what the machine holds; return what fetches a blob for admitted peers that cannot reach its holders."""
    machine = conductor.machine
    relay = Relay(
        has=lambda blob: machine.blob(blob) is not None,
        fetch=conductor.pulls.fetch_for,
        helps=lambda peer: peer in greeter.greeted,
    )
    uploads = Uploads(lambda blob: machine.blob(blob) or relay.find(blob))
    parts.transport.handle_download(BLOB_PROTOCOL, uploads.serve)
    parts.transport.handle(RELAY_PROTOCOL, relay.answer)
    return relay


def make_machine(config: Config, parts: PeerParts) -> RoundMachine:
    root = parts.root or first_entry(config, parts.agent)
    machine_parts = round_parts(config, schema=parts.agent.schema, signer=parts.signer, kernels=parts.kernels)
    return RoundMachine(machine_parts, root=root, sequence=parts.boot << _BOOT_SHIFT, now=trio.current_time())


def make_conductor(
    config: Config, parts: PeerParts, machine: RoundMachine, *, open_round: Callable[[OpenRound], None]
) -> Conductor:
    return Conductor(
        machine,
        transport=parts.transport,
        open_round=open_round,
        counters=parts.counters,
        rng=parts.rng,
        anti_entropy_s=config.round.anti_entropy_s,
        request_s=REQUEST_S,
    )


def make_reporter(config: Config, parts: PeerParts) -> Reporter:
    return Reporter(parts.signer.peer_id, sink=parts.sink, counters=parts.counters, robustness=_robustness(config))


def make_stuck_watch(config: Config, parts: PeerParts, machine: RoundMachine) -> StuckWatch:
    return StuckWatch(
        machine,
        me=parts.signer.peer_id,
        train_s=config.round.train_s,
        every_s=config.log.waiting_every_s,
        sink=parts.sink,
        names=parts.names,
    )


def make_loneliness(parts: PeerParts, conductor: Conductor, greeter: Greeter) -> LonelinessWatch:
    return LonelinessWatch(
        me=parts.signer.peer_id,
        tip=lambda: conductor.machine.tip,
        connected=lambda: greeter.greeted,
        exchanges=conductor.exchanges.record,
        sink=parts.sink,
    )


def make_training_state(config: Config, parts: PeerParts) -> TrainingStateKeeper | None:
    """Return who keeps the optimizer state, as often as the model is kept; None where nothing is."""
    if parts.state_file is None:
        return None
    return TrainingStateKeeper(
        parts.agent,
        parts.state_file,
        every=config.round.snapshot_every,
        sink=parts.sink,
        blocking=parts.blocking,
    )


def make_trainer(
    config: Config, parts: PeerParts, conductor: Conductor, *, keeper: TrainingStateKeeper | None
) -> Trainer:
    tasks = env_tasks(config.env)
    return Trainer(
        parts.agent,
        TrainingPlan(
            ahead_s=config.round.staleness_limit * config.round.train_s,
            eval_every=config.round.eval_every,
            eval_episodes=config.stop.episodes,
            eval_seed=config.stop.seed,
            has_variants=len(tasks) > 1,
        ),
        RosterTaskPlan(parts.signer.peer_id, tasks, sink=parts.sink, names=parts.names),
        pace=Pace(parts.signer.peer_id, train_s=config.round.train_s, env_steps=config.round.env_steps),
        announcer=conductor,
        keeper=keeper,
        started=parts.ready,
        sink=parts.sink,
    )


def make_denial(
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
        counters=parts.counters,
        rng=random.Random(f"denial {parts.signer.peer_id} {parts.boot}"),
        blocking=parts.blocking,
        admitted=admitted,
        concerns=concerns,
    )


def make_membership(config: Config, parts: PeerParts, greeter: Greeter) -> Membership:
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


def make_meeting(
    config: Config, parts: PeerParts, welcome: Welcome, *, greeted: Callable[[], frozenset[PeerId]]
) -> Meeting:
    book = AddressBook()
    rng = random.Random(f"meeting {parts.signer.peer_id} {parts.boot}")
    keeper = None
    if parts.book_file is not None:
        keeper = BookKeeper(book, parts.book_file, sink=parts.sink, blocking=parts.blocking)
        keeper.load()
    exchange = PeerExchange(
        parts.transport,
        book,
        welcome=welcome,
        greeted=greeted,
        sink=parts.sink,
        counters=parts.counters,
        rng=rng,
        every_s=config.network.rediscover_s,
        request_s=REQUEST_S,
    )
    desk = DialBackDesk(parts.transport, run=welcome.run, admitted=greeted)
    reachability = Reachability(
        parts.transport, welcome, greeted=greeted, sink=parts.sink, counters=parts.counters, rng=rng
    )
    return Meeting(parts.transport, book, exchange=exchange, desk=desk, reachability=reachability, keeper=keeper)


def make_allow_lists(parts: PeerParts) -> AllowListDesk:
    return AllowListDesk(
        parts.transport,
        policy=parts.admission,
        sink=parts.sink,
        rng=random.Random(f"admission {parts.signer.peer_id} {parts.boot}"),
        store=parts.allow_lists,
    )


def make_admission(config: Config, parts: PeerParts, lists: AllowListDesk, denial: DenialDesk) -> AdmissionDesk:
    return AdmissionDesk(
        parts.transport,
        run=wire_run_id(config),
        policy=parts.admission,
        lists=lists,
        denied=denial.objection,
    )


def make_sessions(parts: PeerParts, welcome: Welcome) -> SessionDesk:
    return SessionDesk(
        parts.transport,
        welcome=welcome,
        signer=parts.signer,
        sink=parts.sink,
        request_s=REQUEST_S,
        newer_boot=parts.newer_boot,
    )


def make_welcome(config: Config, parts: PeerParts) -> Welcome:
    listening = parts.transport.listen_addresses
    announced = parts.announced or Announced(public=listening, local=listening)
    card, local = own_cards(config, parts, announced)
    return Welcome(run=wire_run_id(config), card=card, local=local)


def own_cards(config: Config, parts: PeerParts, announced: Announced) -> tuple[Signed[PeerCard], Signed[PeerCard]]:
    """Return the cards of a peer that is at these addresses: for everybody, and for those on its machine."""

    def card(addresses: tuple[str, ...]) -> Signed[PeerCard]:
        told = PeerCard(
            boot=parts.boot,
            name=parts.name,
            addresses=addresses[:MAX_ANNOUNCED],
            config=digest(config),
            schema=parts.agent.schema.digest,
            sections=section_hints(config),
        )
        return seal(told, parts.signer, run=wire_run_id(config))

    return card(announced.public), card(announced.local)


def make_greeter(
    parts: PeerParts, welcome: Welcome, meeting: Meeting, *, desk: AdmissionDesk, sessions: SessionDesk
) -> Greeter:
    return Greeter(
        parts.transport,
        welcome,
        sink=parts.sink,
        names=parts.names,
        counters=parts.counters,
        request_s=REQUEST_S,
        learn=meeting.learn,
        desk=desk,
        sessions=sessions,
    )


def make_seeker(config: Config, parts: PeerParts, meeting: Meeting, sessions: SessionDesk) -> Seeker:
    network = config.network
    return Seeker(
        parts.transport,
        [*parts.sources, BookDiscovery(meeting.book, me=parts.signer.peer_id)],
        meeting.book,
        sink=parts.sink,
        redial=RedialPolicy(first_s=network.redial_min_s, cap_s=network.redial_max_s),
        rediscover_s=network.rediscover_s,
        rng=parts.rng,
        max_peers=network.max_connections,
        on_own_identity=sessions.answered_elsewhere,
    )


def _robustness(config: Config) -> Robustness | None:
    """In groups the claim is about groups: whoever seals for one can lie for all of it (docs/adr/0035)."""
    rules = round_rules(config)

    def claim(peers: int) -> int:
        return bad_peers_withstood(config.aggregation, num_rows(peers, rules))

    return Robustness(rule=config.aggregation.rule, withstands=claim) if claim(rules.flat_peers) else None
