"""The services of one peer, put together: who is told of what by whom, and in which order they start."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Never

import trio

from peer.config.schema import Config
from peer.network.announce import Announced
from peer.node_services import (
    make_admission,
    make_allow_lists,
    make_conductor,
    make_denial,
    make_greeter,
    make_loneliness,
    make_meeting,
    make_membership,
    make_reporter,
    make_seeker,
    make_sessions,
    make_stuck_watch,
    make_trainer,
    make_training_state,
    make_welcome,
    own_cards,
    serve_blobs,
)
from peer.peer_parts import PeerParts
from peer.rounds.machine import RoundMachine
from peer.services.address_watch import watch_addresses
from peer.services.archive import Archive
from peer.services.conductor import Conductor, Observer
from peer.services.discovery import Seeker
from peer.services.greeting import Greeter
from peer.services.loneliness import LonelinessWatch
from peer.services.punctuality import watch_punctuality
from peer.services.relay import Relay
from peer.services.status import Running
from peer.services.tensorboard import TensorBoardKeeper
from peer.services.training import Trainer
from peer.services.training_state import TrainingStateKeeper
from peer.telemetry.sink import EventSink
from peer.types import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that runs for one peer while it takes part. running: those whose state `murmur status` tells."""

    conductor: Conductor
    trainer: Trainer
    seeker: Seeker
    loneliness: LonelinessWatch
    relay: Relay
    archive: Archive | None
    training_state: TrainingStateKeeper | None
    tensorboard: TensorBoardKeeper | None
    sink: EventSink
    running: Running
    watch_addresses: Callable[[], Awaitable[Never]] | None

    async def start(self, nursery: trio.Nursery) -> None:
        """Start them in `nursery`, each one once those before it are ready."""
        running = self.running
        await nursery.start(self.conductor.serve)
        await nursery.start(running.denial.serve)
        await nursery.start(running.allow_lists.serve)
        await nursery.start(running.greeter.serve)
        await nursery.start(running.membership.serve)
        await nursery.start(running.meeting.serve)
        await nursery.start(self.seeker.serve)
        await nursery.start(self.trainer.serve)
        nursery.start_soon(running.watch.serve)
        nursery.start_soon(self.loneliness.serve)
        nursery.start_soon(watch_punctuality, self.sink)
        nursery.start_soon(self.relay.keep_forgetting)
        if self.watch_addresses is not None:
            nursery.start_soon(self.watch_addresses)
        if self.archive is not None:
            await nursery.start(self.archive.serve)
        if self.training_state is not None:
            await nursery.start(self.training_state.serve)
        if self.tensorboard is not None:
            await nursery.start(self.tensorboard.serve)

    async def save(self) -> None:
        """Write to disk what the next life goes on from."""
        if self.training_state is not None:
            await self.training_state.save()
        await self.running.meeting.save()
        await self.running.denial.save()
        if self.archive is not None:
            await self.archive.flush(self.running.machine.tip)
        if self.tensorboard is not None:
            await self.tensorboard.save()


def assemble(config: Config, parts: PeerParts, machine: RoundMachine, *, observer: Observer) -> Services:
    """Make the services around `machine`, and tie them together; nothing runs yet. observer: told of every effect.

    Some need each other: what is made later is looked up when it is needed.
    """
    reporter = make_reporter(config, parts)
    watch = make_stuck_watch(config, parts, machine)
    conductor = make_conductor(config, parts, machine, open_round=lambda opened: trainer.open_round(opened))
    training_state = make_training_state(config, parts)
    trainer = make_trainer(config, parts, conductor, keeper=training_state)
    lists = make_allow_lists(parts)
    denial = make_denial(config, parts, admitted=lambda: greeter.greeted, concerns=lists.concerns)
    desk = make_admission(config, parts, lists, denial)
    conductor.add_observers(reporter, watch, observer, *_archives(parts, machine))
    if training_state is not None:
        conductor.add_observers(training_state)
    conductor.add_observers(denial)
    if parts.tensorboard is not None:
        parts.tensorboard.take_lag_from(lambda: machine.tip.round - machine.final_round)
    conductor.allow(lists.allowed)
    conductor.deny(denial.denied)
    welcome = make_welcome(config, parts)
    meeting = make_meeting(config, parts, welcome, greeted=lambda: greeter.greeted)
    sessions = make_sessions(parts, welcome)
    greeter = make_greeter(parts, welcome, meeting, desk=desk, sessions=sessions)
    membership = make_membership(config, parts, greeter)
    greeter.add_observers(conductor, membership, lists)
    lists.changed = lambda: _heed_list(lists.allowed, conductor, greeter)
    denial.changed = lambda denied: _part_from(denied, conductor, greeter)
    running = Running(
        machine=machine,
        greeter=greeter,
        membership=membership,
        watch=watch,
        reporter=reporter,
        transport=parts.transport,
        welcome=welcome,
        meeting=meeting,
        denial=denial,
        admission=desk,
        allow_lists=lists,
        sessions=sessions,
    )
    return Services(
        conductor=conductor,
        trainer=trainer,
        seeker=make_seeker(config, parts, meeting, sessions),
        loneliness=make_loneliness(parts, conductor, greeter),
        relay=serve_blobs(parts, conductor, greeter),
        archive=parts.archive,
        training_state=training_state,
        tensorboard=parts.tensorboard,
        sink=parts.sink,
        running=running,
        watch_addresses=_address_watch(config, parts, running),
    )


def _archives(parts: PeerParts, machine: RoundMachine) -> list[Archive]:
    """Return the archive, which takes payloads from `machine`; none where nothing is kept on disk."""
    if parts.archive is None:
        return []
    parts.archive.take_payloads_from(machine.blob)
    return [parts.archive]


def _address_watch(config: Config, parts: PeerParts, running: Running) -> Callable[[], Awaitable[Never]] | None:
    """Return what tells others of every change of our addresses; None where they cannot be looked up."""
    if parts.announced is None or parts.current_addresses is None:
        return None

    def move(announced: Announced) -> None:
        running.welcome.card, running.welcome.local = own_cards(config, parts, announced)
        running.meeting.moved()
        running.greeter.show_anew()

    return partial(watch_addresses, parts.announced, parts.current_addresses, announce=move, sink=parts.sink)


def _heed_list(allowed: frozenset[PeerId] | None, conductor: Conductor, greeter: Greeter) -> None:
    conductor.allow(allowed)
    greeter.reconsider()


def _part_from(denied: frozenset[PeerId], conductor: Conductor, greeter: Greeter) -> None:
    conductor.deny(denied)
    greeter.reconsider()
