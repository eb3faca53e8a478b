"""One peer, put together: the parts, the one nursery that all services live in, and how it ends."""

import math
from dataclasses import dataclass

import trio

from peer.config.schema import Config
from peer.node_services import (
    REQUEST_S,
    SaveTrainer,
    make_admission,
    make_denial,
    make_greeter,
    make_machine,
    make_meeting,
    make_membership,
    make_seeker,
    make_sessions,
    make_trainer,
    robustness,
    serve_blobs,
)
from peer.peer_parts import PeerParts
from peer.rounds.effects import Applied, Effect, SnapshotApplied
from peer.rounds.entry import Entry
from peer.rounds.machine import RoundMachine
from peer.services.conductor import Conductor, Observer
from peer.services.greeting import Greeter
from peer.services.loneliness import LonelinessWatch
from peer.services.membership import Membership
from peer.services.punctuality import watch_punctuality
from peer.services.reporting import Reporter, greedy_return
from peer.services.sessions import SessionDesk
from peer.services.status import Running
from peer.services.training import Trainer
from peer.services.watch import StuckWatch
from peer.telemetry.peer_events import OwnIdentityRunsTwice
from peer.types import PeerId, Seconds

_LINGER_LOOK_S = 0.1


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


async def run_peer(config: Config, parts: PeerParts) -> Outcome:
    """Take part in the run until the peers agree to stop, or the caller cancels; then say how it ended.

    On cancellation the state is saved under a shield first.
    """
    started = trio.current_time()
    parts.transport.admit(frozenset())  # nobody yet: who connected meanwhile has not been greeted
    machine = make_machine(config, parts)
    ending = Ending(machine.tip)
    me = parts.signer.peer_id
    trainer: Trainer
    reporter = Reporter(me, sink=parts.sink, counters=parts.counters, robustness=robustness(config))
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
    trainer = make_trainer(config, parts, conductor)
    denial = make_denial(config, parts, admitted=lambda: greeter.greeted, concerns=lambda peer: desk.concerns(peer))
    desk = make_admission(config, parts, denial)
    observers += [SaveTrainer(trainer, every=config.round.snapshot_every), denial]
    conductor.allow(desk.allowed)
    conductor.deny(denial.denied)
    meeting = make_meeting(config, parts)
    sessions = make_sessions(config, parts, meeting)
    greeter = make_greeter(
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
    membership = make_membership(config, parts, greeter)
    serve_blobs(parts, conductor, greeter)
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(conductor.serve)
            await nursery.start(denial.serve)
            await nursery.start(greeter.serve)
            await nursery.start(membership.serve)
            await nursery.start(meeting.serve)
            await nursery.start(make_seeker(config, parts, meeting, sessions).serve)
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


async def _linger(machine: RoundMachine, *, linger_s: Seconds) -> None:
    """Stay to serve the last manifest until every reachable member has it, but not for ever."""
    with trio.move_on_after(linger_s):
        while not machine.members_finished():  # noqa: ASYNC110  # ten looks a second, once in a run
            await trio.sleep(_LINGER_LOOK_S)
        await trio.sleep(_LINGER_LOOK_S)  # our own ack is still on its way to those who wait for it


def _tell_reachable(peers: frozenset[PeerId], conductor: Conductor, membership: Membership) -> None:
    conductor.reachable(peers)
    membership.reachable(peers)


def _part_from(denied: frozenset[PeerId], conductor: Conductor, greeter: Greeter) -> None:
    conductor.deny(denied)
    greeter.reconsider()
