"""What a running peer says about itself when asked: the answer of `murmur status`.

One JSON object; keys are only ever added. Sizes are in bytes, ages and times in seconds.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import trio

import peer
from peer.network.transport import Transport
from peer.rounds.entry import Entry
from peer.rounds.machine import RoundMachine
from peer.rounds.roster import peers_of
from peer.services.admission import AdmissionDesk
from peer.services.allow_lists import AllowListDesk
from peer.services.denial import DenialDesk
from peer.services.departures import Departures
from peer.services.greeting import Greeter
from peer.services.meeting import Meeting
from peer.services.membership import Membership
from peer.services.reporting import Reporter
from peer.services.sessions import SessionDesk
from peer.services.shown_results import shown_return
from peer.services.stuck_watch import StuckWatch
from peer.services.welcome import Welcome
from peer.telemetry.names import NameBook
from peer.telemetry.process_log import ProcessLog
from peer.telemetry.sentences import sentence
from peer.types import PeerId, Seconds


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One other peer, or this one. missed: rounds in a row; None: not on the roster. admitted: in the last round.

    silent_s: since its last bytes; None when it is not connected. suspected_by: peers that it does not answer; 0 unless
    this one is among them. runs_twice: two processes with its identity were connected in the last ten minutes.
    """

    name: str
    peer_id: str
    me: bool
    connected: bool
    missed: int | None
    steps_per_s: int
    admitted: bool
    boot: int | None
    silent_s: float | None
    suspected_by: int
    runs_twice: bool = False


class DeniedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A peer against whom there is proof, and of what."""

    name: str
    peer_id: str
    what: str


class AdmissionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Who may take part. swarm_key: its fingerprint; None: there is none. named: whether the list names this peer.

    list_version: of the allow-list that holds; 0: none has come yet; None: there are no authorities, and so no list.
    """

    swarm_key: str | None
    list_version: int | None
    listed: int
    named: bool


class GoneStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that went in the last ten minutes, and is not back. stopped: it said goodbye; else `cause` tells why."""

    name: str
    peer_id: str
    stopped: bool
    cause: str
    age_s: float


class TroubleStatus(msgspec.Struct, frozen=True, kw_only=True):
    age_s: float
    level: str
    text: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `murmur status` for one peer.

    round: of the tip, the last sealed one. lag: rounds of the tip that are not final yet. returns: None: unknown.

    announced: addresses that others are told. reached: those of them where others found us; None: nobody has told yet.
    waiting_for: what the round in progress needs next. refused: messages dropped, by reason.
    denied: peers that nobody takes in any more. gone: newest first.
    superseded: why this process takes no part any more, another one having its identity; "" while it does.
    local_health: 0 while the event loop runs in time, up to 8 when it is late: waits for others are that much longer.
    """

    version: str
    name: str
    peer_id: str
    boot: int
    pid: int
    run: str
    env: str
    addresses: list[str]
    announced: list[str]
    reached: list[str] | None
    uptime_s: float
    computes_on: str
    round: int
    final_round: int
    lag: int
    model: str
    env_steps: int
    mean_return: float | None
    best_return: float | None
    finished: bool
    waiting_for: str
    peers: list[PeerStatus]
    bytes_sent: int
    bytes_received: int
    refused: dict[str, int]
    counters: dict[str, int]
    troubles: list[TroubleStatus]
    local_health: int
    superseded: str = ""
    denied: list[DeniedStatus] = []  # msgspec copies it for every status
    admission: AdmissionStatus | None = None
    gone: list[GoneStatus] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """What a status says that stays the same while the process lives. age: returns the seconds since its start."""

    name: str
    peer_id: PeerId
    boot: int
    pid: int
    run: str
    env: str
    computes_on: str
    age: Callable[[], Seconds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The parts of a peer that takes part, as far as its status is told by them."""

    machine: RoundMachine
    greeter: Greeter
    membership: Membership
    watch: StuckWatch
    reporter: Reporter
    transport: Transport
    welcome: Welcome
    meeting: Meeting
    denial: DenialDesk
    admission: AdmissionDesk
    allow_lists: AllowListDesk
    sessions: SessionDesk


def status_of(me: ProcessFacts, running: Running, log: ProcessLog) -> Status:
    """Read the state of a peer; cheap, and changes nothing."""
    machine, tip = running.machine, running.machine.tip
    network, own, names = running.transport.counters(), log.counters.totals(), log.names
    newer = running.sessions.newer
    return Status(
        version=peer.__version__,
        name=me.name,
        peer_id=me.peer_id,
        boot=me.boot,
        pid=me.pid,
        run=me.run,
        env=me.env,
        addresses=list(running.transport.listen_addresses),
        announced=list(running.welcome.card.message.addresses),
        reached=None if running.meeting.reached is None else list(running.meeting.reached),
        uptime_s=round(me.age(), 3),
        computes_on=me.computes_on,
        round=tip.round,
        final_round=machine.final_round,
        lag=tip.round - machine.final_round,
        model=tip.model.hex(),
        env_steps=tip.env_steps,
        mean_return=_finite(shown_return(tip)),
        best_return=_finite(running.reporter.best_return),
        finished=machine.finished,
        waiting_for="nothing: the run has ended" if machine.finished else running.watch.waiting_for(),
        peers=_peers(me, tip, running, names),
        bytes_sent=network.get("bytes_sent", 0),
        bytes_received=network.get("bytes_received", 0),
        refused=log.counters.refusals(),
        counters={**own, **{f"network_{name}": total for name, total in sorted(network.items())}},
        troubles=[
            TroubleStatus(age_s=round(age, 1), level=trouble.level, text=trouble.text)
            for age, trouble in log.sink.latest()
        ],
        local_health=running.membership.detector.health.score,
        superseded=sentence(newer, names) if newer else "",
        denied=[
            DeniedStatus(name=names.name_of(peer_id), peer_id=peer_id, what=what)
            for peer_id, what in sorted(running.denial.told().items())
        ],
        admission=_admission(me, running),
        gone=_gone(running.greeter.departures, names),
    )


def _admission(me: ProcessFacts, running: Running) -> AdmissionStatus:
    allowed = running.allow_lists.allowed
    return AdmissionStatus(
        swarm_key=running.admission.key_fingerprint,
        list_version=None if allowed is None else running.allow_lists.version,
        listed=len(allowed or ()),
        named=allowed is None or me.peer_id in allowed,
    )


def _gone(departures: Departures, names: NameBook) -> list[GoneStatus]:
    now = trio.current_time()
    return [
        GoneStatus(
            name=names.name_of(each.peer),
            peer_id=each.peer,
            stopped=each.stopped,
            cause=each.cause,
            age_s=round(now - each.at, 1),
        )
        for each in departures.latest(now)
    ]


def _peers(me: ProcessFacts, tip: Entry, running: Running, names: NameBook) -> list[PeerStatus]:
    """Return everybody on the roster or connected, this peer first, then by name."""
    greeter, detector, now = running.greeter, running.membership.detector, trio.current_time()
    members = {PeerId(entry.peer): entry for entry in tip.roster}
    admitted = tip.admitted
    everybody = peers_of(tip.roster) | greeter.greeted | {me.peer_id}
    listed = [
        PeerStatus(
            name=names.name_of(peer_id),
            peer_id=peer_id,
            me=peer_id == me.peer_id,
            connected=peer_id in greeter.greeted,
            missed=members[peer_id].missed if peer_id in members else None,
            steps_per_s=members[peer_id].steps_per_s if peer_id in members else 0,
            admitted=peer_id in admitted,
            boot=me.boot if peer_id == me.peer_id else greeter.boot_of(peer_id),
            silent_s=_tenths(detector.silent_s(peer_id, now)),
            suspected_by=detector.suspected_by(peer_id),
            runs_twice=running.sessions.runs_twice(peer_id),
        )
        for peer_id in everybody
    ]
    return sorted(listed, key=lambda status: (not status.me, status.name, status.peer_id))


def _tenths(seconds: Seconds | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
