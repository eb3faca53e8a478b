"""The state of a running peer, read off its services for `murmur status`."""

from collections.abc import Callable
from dataclasses import dataclass

import trio

import peer
from peer.finite import finite
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
from peer.services.status_answer import (
    AdmissionStatus,
    DeniedStatus,
    GoneStatus,
    PeerStatus,
    Status,
    TroubleStatus,
)
from peer.services.stuck_watch import StuckWatch
from peer.services.welcome import Welcome
from peer.telemetry.names import NameBook
from peer.telemetry.process_log import ProcessLog
from peer.telemetry.sentences import sentence
from peer.types import PeerId, Seconds


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
        mean_return=finite(shown_return(tip)),
        best_return=finite(running.reporter.best_return),
        finished=machine.finished,
        waiting_for="nothing: the run has ended" if machine.finished else running.watch.waiting_for(),
        peers=_peers(me, tip, running, names),
        bytes_sent=network.get("bytes_sent", 0),
        bytes_received=network.get("bytes_received", 0),
        refused=log.counters.refusals(),
        counters={**own, **{f"network_{name}": total for name, total in sorted(network.items())}},
        troubles=_troubles(log),
        local_health=running.membership.detector.health.score,
        superseded=sentence(newer, names) if newer else "",
        denied=_denied(running.denial, names),
        admission=_admission(me, running),
        gone=_gone(running.greeter.departures, names),
        open_s=None if machine.finished else _tenths(running.watch.open_s()),
    )


def _troubles(log: ProcessLog) -> list[TroubleStatus]:
    return [
        TroubleStatus(age_s=round(age, 1), level=trouble.level, text=trouble.text) for age, trouble in log.sink.latest()
    ]


def _denied(denial: DenialDesk, names: NameBook) -> list[DeniedStatus]:
    return [
        DeniedStatus(name=names.name_of(peer_id), peer_id=peer_id, what=what)
        for peer_id, what in sorted(denial.told().items())
    ]


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
