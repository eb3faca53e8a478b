"""A peer as an operating-system process: its folder, identity, log, network and signals around `peer.node`."""

import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Never

import trio

from peer.addresses import bound_port
from peer.admission.policy import AdmissionPolicy
from peer.agents.native_agent import NativeAgent
from peer.config.schema import Config
from peer.early_signals import STOP_SIGNALS, EarlySignals, heeded, keeping
from peer.errors import EnvFailedError, StorageError
from peer.native import AggregationKernels
from peer.network.discovery.source import closing_sources
from peer.network.identity import Identity
from peer.network.key_file import KEY_FILE, load_or_create_identity
from peer.network.libp2p_logging import quiet_libp2p_logging
from peer.network.libp2p_transport import Libp2pTransport, open_libp2p_transport
from peer.node import Outcome, run_peer
from peer.open_files import raise_open_files
from peer.peer_parts import PeerParts
from peer.process_report import ProcessReport
from peer.python_envs.names import is_python_env
from peer.python_envs.stopping import STEP_IN_PROGRESS
from peer.rounds.entry import Entry
from peer.run_folder import RunFolder, run_folder_name
from peer.services.book_keeping import BOOK_FILE
from peer.services.free_memory import keep_returning_free_memory
from peer.services.heartbeat import beat_forever
from peer.services.name_keeping import keep_names
from peer.services.status import ProcessFacts, Running
from peer.services.status_desk import StatusDesk
from peer.services.tally import tell_refused_forever
from peer.settings import (
    admission_policy,
    announced,
    discovery_sources,
    peer_name,
    ppo_settings,
    threads,
    transport_settings,
)
from peer.storage.allow_list_file import ALLOW_LIST_FILE, AllowListFiles
from peer.storage.boots import BOOTS_FILE, Boot, count_boot, raise_boot
from peer.storage.heartbeat import Heartbeat
from peer.storage.names_file import load_names
from peer.storage.proofs_file import PROOFS_FILE
from peer.storage.slots import Slot, claim_slot, tell_slot
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.peer_events import OwnIdentityRunsTwice
from peer.telemetry.process_events import (
    Announcing,
    EnvironmentFailed,
    Listening,
    LookingFor,
    ShutdownStarted,
)
from peer.telemetry.process_log import ProcessLog, open_log
from peer.tensorboard_run import check_tensorboard, make_tensorboard
from peer.types import Seconds

_AGAIN_S: Seconds = 0.5

_REMIND_S: Seconds = 60.0
"""Between two lines in the log of a process that takes no part any more."""


def run_process(config: Config, *, age: Callable[[], Seconds]) -> None:
    """Run one peer until the swarm has finished, or SIGTERM, SIGINT or SIGHUP comes; its state is saved either way.

    age: returns the seconds since the process was started. Everything that can be wrong with disk and settings is
    found out before the network is touched.
    Raises: StorageError, TransportError, ValueError when the peer cannot start; the caller prints the cause.
    """
    raise_open_files()
    with ExitStack() as stack:
        data_dir, wanted = Path(config.storage.data_dir), config.storage.slot
        slot = stack.enter_context(claim_slot(data_dir, wanted, holding=run_folder_name(config)))
        name = peer_name(config) or slot.name
        identity = load_or_create_identity(slot.path / KEY_FILE)
        admission = admission_policy(config, slot.path)
        log = stack.enter_context(
            open_log(
                sys.stdout, peer=name, output=config.log.format, level=config.log.level, tells_time=config.log.time
            )
        )
        process = PeerProcess(config, slot, identity, name=name, admission=admission, log=log, age=age)
        folder = stack.enter_context(RunFolder(slot.path, config, sink=log.sink))
        for peer_id, known_as in load_names(folder.path).items():
            log.names.learn(peer_id, known_as)
        log.names.learn(identity.peer_id, name)
        folder.describe(peer=identity.peer_id, name=name)
        process.run(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """What a life starts with. root: where it goes on; None: at genesis."""

    folder: RunFolder
    boot: Boot
    agent: NativeAgent
    root: Entry | None


class PeerProcess:
    """One peer's life, from its first line in the log to its last."""

    def __init__(
        self,
        config: Config,
        slot: Slot,
        identity: Identity,
        *,
        name: str,
        admission: AdmissionPolicy,
        log: ProcessLog,
        age: Callable[[], Seconds],
    ) -> None:
        self._config = config
        self._slot = slot
        self._identity = identity
        self._name = name
        self._admission = admission
        self._log = log
        self._sink = log.sink
        self._age = age
        self._report = ProcessReport(config, slot, peer_id=identity.peer_id, sink=log.sink, age=age)

    def run(self, folder: RunFolder) -> None:
        check_tensorboard(self._config)
        announced(self._config, port=0)  # a wrong network.interface is the user's to hear of before anything is done
        boot = count_boot(self._slot.path / BOOTS_FILE, unix_time_s=int(time.time()))
        settings = ppo_settings(self._config, self._identity.peer_id, slot=self._slot.index)
        self._report.makes_learner(settings)
        agent = NativeAgent(self._config.env.name, settings=settings, nice=self._config.compute.nice)
        self._report.started(boot, folder, num_params=agent.schema.num_params)
        root = folder.restore(agent)
        if root is not None and root.stop:
            if not folder.holds_model_of(root):
                folder.save_model(root)
            self._report.already_finished(root, folder)
            return
        if self._config.storage.slot_file is not None:
            tell_slot(self._slot.path, file=Path(self._config.storage.slot_file))
        quiet_libp2p_logging()
        with keeping(*heeded(*STOP_SIGNALS)) as early:
            try:
                trio.run(self._take_part, _Start(folder=folder, boot=boot, agent=agent, root=root), early)
            except* EnvFailedError as failed:
                self._sink.emit(EnvironmentFailed(cause=str(_first(failed))))
                sys.exit(1)

    async def _take_part(self, start: _Start, early: EarlySignals) -> None:
        """Be part of the swarm. The transport is the outermost block: what it raises must not come in a group."""
        newer: OwnIdentityRunsTwice | None = None
        status = StatusDesk(self._slot.path, self._facts(start), self._log)
        with status.open, trio.open_signal_receiver(*heeded(*STOP_SIGNALS)) as signals:
            early.pass_on()
            async with (
                open_libp2p_transport(transport_settings(self._config), self._identity) as transport,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(self._beat)
                nursery.start_soon(keep_returning_free_memory)
                nursery.start_soon(self._tell_refused, transport)
                nursery.start_soon(self._keep_names, start.folder.path)
                self._sink.emit(Listening(addresses=transport.listen_addresses))
                parts = self._parts(start, transport, running=partial(status.start, nursery))
                if parts.announced is not None:
                    self._sink.emit(Announcing(addresses=parts.announced.public))
                self._sink.emit(LookingFor(targets=tuple(source.name for source in parts.sources)))
                with trio.CancelScope() as run_scope:
                    nursery.start_soon(self._stop_on_signal, signals, run_scope)
                    async with closing_sources(parts.sources):
                        outcome = await run_peer(self._config, parts)
                    newer = outcome.superseded_by
                    if newer is None:
                        self._finish(outcome, start.folder, transport)
                if run_scope.cancelled_caught and status.running is not None:
                    start.folder.save_model_so_far(status.running.machine.tip)
                nursery.cancel_scope.cancel()
            if newer is not None:
                await self._rest(newer, status, signals)

    async def _rest(self, newer: OwnIdentityRunsTwice, status: StatusDesk, signals: AsyncIterator[int]) -> None:
        """Take no part, and say why, until told to stop.

        If this process ended, a supervisor would start it again as the newer of the two, and they would push each other
        out for ever.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat)
            nursery.start_soon(status.serve_at_rest)
            nursery.start_soon(self._remind, newer)
            async for number in signals:
                self._sink.emit(ShutdownStarted(cause=signal.Signals(number).name))
                break
            nursery.cancel_scope.cancel()

    async def _remind(self, newer: OwnIdentityRunsTwice) -> Never:
        while True:
            await trio.sleep(_REMIND_S)
            self._sink.emit(newer)

    def _parts(self, start: _Start, transport: Libp2pTransport, *, running: Callable[[Running], None]) -> PeerParts:
        folder, root = start.folder, start.root
        tensorboard = make_tensorboard(
            self._config,
            self._identity.peer_id,
            name=self._name,
            boot=start.boot.number,
            env_steps=0 if root is None else root.env_steps,
            sink=self._sink,
            traffic=transport.counters,
        )
        find_announced = partial(announced, self._config, port=bound_port(transport.listen_addresses))
        return PeerParts(
            agent=start.agent,
            transport=transport,
            signer=self._identity,
            sources=discovery_sources(self._config, transport),
            sink=tensorboard or self._sink,
            names=self._log.names,
            counters=self._log.counters,
            rng=random.Random(os.urandom(16)),
            name=self._name,
            boot=start.boot.number,
            root=root,
            admission=self._admission,
            allow_lists=self._allow_lists(),
            archive=folder.archive,
            state_file=folder.training_file,
            tensorboard=tensorboard,
            announced=find_announced(),
            current_addresses=find_announced,
            book_file=folder.path / BOOK_FILE,
            denied_file=folder.path / PROOFS_FILE,
            newer_boot=self._count_newer,
            ready=lambda: self._report.training_started(start.agent),
            running=running,
            kernels=AggregationKernels(threads=threads(self._config)),
        )

    def _count_newer(self, boot: int) -> None:
        """Count the starts of the newer process as ours: our next start is then the newest, and that one is served."""
        try:
            raise_boot(self._slot.path / BOOTS_FILE, boot)
        except StorageError as error:
            self._sink.emit(StorageFailed(operation="count the other's starts", cause=str(error)))

    def _allow_lists(self) -> AllowListFiles:
        configured = self._config.network.allow_list
        return AllowListFiles(Path(configured) if configured else None, kept=self._slot.path / ALLOW_LIST_FILE)

    def _facts(self, start: _Start) -> ProcessFacts:
        return ProcessFacts(
            name=self._name,
            peer_id=self._identity.peer_id,
            boot=start.boot.number,
            pid=os.getpid(),
            run=self._config.run.name,
            env=self._config.env.name,
            computes_on=start.agent.backend_name,
            age=self._age,
        )

    def _finish(self, outcome: Outcome, folder: RunFolder, transport: Libp2pTransport) -> None:
        path = folder.save_model(outcome.tip)
        self._report.finished(outcome, model_path=path, traffic=transport.counters())

    async def _stop_on_signal(self, signals: AsyncIterator[int], run_scope: trio.CancelScope) -> None:
        """End the run cleanly: state saved, exit code 0. More signals of the kind change nothing.

        Where an environment in Python is waited for, which may hang, a later Ctrl-C ends the process at once. Only some
        time after, as whoever stops several processes may send one twice.
        """
        waits_for = STEP_IN_PROGRESS if is_python_env(self._config.env.name) else ""
        async for number in signals:
            if not run_scope.cancel_called:
                self._sink.emit(ShutdownStarted(cause=signal.Signals(number).name, waits_for=waits_for))
                asked_at = trio.current_time()
            elif waits_for and number == signal.SIGINT and trio.current_time() - asked_at >= _AGAIN_S:
                os._exit(128 + number)  # what is on disk is whole
            run_scope.cancel()

    async def _keep_names(self, folder: Path) -> Never:
        await keep_names(self._log.names.known, folder, sink=self._sink)

    async def _beat(self) -> Never:
        await beat_forever(Heartbeat(self._slot.path), sink=self._sink)

    async def _tell_refused(self, transport: Libp2pTransport) -> Never:
        period_s = self._config.log.waiting_every_s
        await tell_refused_forever(transport, self._log.counters, period_s=period_s, sink=self._sink)


def _first(group: BaseExceptionGroup[EnvFailedError]) -> EnvFailedError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
