"""A peer as an operating-system process: its folder, identity, log, network and signals around `peer.node`."""

import os
import random
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import trio

import peer
from peer.agents.native_agent import NativeAgent
from peer.config.digest import digest
from peer.config.schema import Config
from peer.errors import ProtocolError, StorageError
from peer.native import PpoSettings
from peer.network.discovery.dns import DnsDiscovery
from peer.network.discovery.source import DiscoverySource
from peer.network.discovery.static import StaticDiscovery
from peer.network.identity import Identity, load_or_create_identity
from peer.network.libp2p_logging import quiet_libp2p_logging
from peer.network.libp2p_transport import Libp2pSettings, Libp2pTransport, open_libp2p_transport
from peer.node import Outcome, PeerParts, local_seed, run_peer, wire_run_id
from peer.rounds.entry import Entry
from peer.rounds.snapshot import decode_snapshot
from peer.services.archive import Archive
from peer.services.watch import beat_forever
from peer.storage.atomic_file import write_atomic
from peer.storage.boots import count_boot
from peer.storage.heartbeat import Heartbeat
from peer.storage.journal import Journal
from peer.storage.model_file import ModelFile, save_model
from peer.storage.slots import Slot, claim_slot
from peer.storage.snapshots import SnapshotStore
from peer.telemetry.counters import Counters
from peer.telemetry.events import (
    Listening,
    LookingFor,
    PeerStarted,
    RunFinished,
    ShutdownStarted,
    StateDamaged,
    StateRestored,
    StorageFailed,
    TrainingStarted,
)
from peer.telemetry.names import NameBook
from peer.telemetry.sink import LogSink
from peer.types import Seconds

_ENVS_PER_THREAD = 128
"""Below this many envs a second thread costs more in waiting than it steps."""


class PeerProcess:
    """Everything of one process that outlives a single service. process_start: monotonic reading at its start."""

    def __init__(self, config: Config, *, process_start: Seconds) -> None:
        self._config = config
        self._process_start = process_start
        self._names = NameBook()
        self._counters = Counters()

    def run(self) -> int:
        """Run the peer until the swarm has finished or a signal comes; return the exit code.

        Raises: StorageError, TransportError when it cannot even start; the caller prints the cause.
        """
        with ExitStack() as stack:
            slot = stack.enter_context(claim_slot(Path(self._config.storage.data_dir)))
            _tell_health_check(slot, self._config.storage.slot_file)
            identity = load_or_create_identity(slot.path / "identity.key")
            self._names.learn(identity.peer_id, slot.name)
            sink = LogSink(
                sys.stdout,
                peer=slot.name,
                names=self._names,
                counters=self._counters,
                output=self._config.log.format,
                level=self._config.log.level,
            )
            stack.callback(sink.close)
            quiet_libp2p_logging()
            trio.run(self._main, slot, identity, sink)
        return 0

    async def _main(self, slot: Slot, identity: Identity, sink: LogSink) -> None:
        boot = count_boot(slot.path / "boots", unix_time_s=int(time.time()))
        agent = NativeAgent(self._config.env.name, settings=self._settings(identity))
        sink.emit(
            PeerStarted(
                peer_id=identity.peer_id,
                version=peer.__version__,
                run=self._config.run.name,
                env=self._config.env.name,
                boot=boot.number,
                data_dir=str(slot.path),
                num_params=agent.schema.num_params,
                config_digest=digest(self._config),
            )
        )
        if boot.damage:
            sink.emit(StateDamaged(path=str(slot.path / "boots"), cause=boot.damage, remedy="counting goes on"))
        async with (
            open_libp2p_transport(self._transport_settings(), identity) as transport,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_heartbeat, slot, sink)
            sink.emit(Listening(addresses=transport.listen_addresses))
            sources = self._sources(transport)
            sink.emit(LookingFor(targets=tuple(source.name for source in sources)))
            with trio.CancelScope() as run_scope:
                nursery.start_soon(_stop_on_signal, run_scope, sink)
                await self._take_part(slot, identity, boot.number, agent, transport, sources, sink)
            nursery.cancel_scope.cancel()

    async def _take_part(
        self,
        slot: Slot,
        identity: Identity,
        boot: int,
        agent: NativeAgent,
        transport: Libp2pTransport,
        sources: list[DiscoverySource],
        sink: LogSink,
    ) -> None:
        journal = Journal(slot.path / "journal.sqlite", max_bytes=self._config.storage.max_journal_bytes)
        if journal.set_aside is not None:
            sink.emit(StateDamaged(path=str(slot.path), cause="the journal", remedy=f"moved to {journal.set_aside}"))
        snapshots = SnapshotStore(slot.path / "snapshots", keep=self._config.storage.keep_snapshots)
        state_file = slot.path / "training.bin"
        root = self._restore(snapshots, agent, state_file, sink)
        parts = PeerParts(
            agent=agent,
            transport=transport,
            signer=identity,
            sources=sources,
            sink=sink,
            names=self._names,
            counters=self._counters,
            rng=random.Random(os.urandom(16)),
            name=slot.name,
            boot=boot,
            root=root,
            archive=Archive(journal, snapshots, snapshot_every=self._config.round.snapshot_every, sink=sink),
            state_file=state_file,
            ready=lambda: sink.emit(
                TrainingStarted(
                    device=agent.backend_name,
                    threads=self._threads(),
                    startup_s=time.monotonic() - self._process_start,
                )
            ),
        )
        try:
            outcome = await run_peer(self._config, parts)
            self._finish(outcome, slot, transport, sink)
        finally:
            journal.close()

    def _restore(self, snapshots: SnapshotStore, agent: NativeAgent, state_file: Path, sink: LogSink) -> Entry | None:
        """Return the newest state on disk that fits this run, or None; whatever cannot be used is reported and kept."""
        loaded = snapshots.load_newest()
        for damage in loaded.damaged:
            sink.emit(StateDamaged(path=str(damage.path), cause=damage.cause, remedy="using an older snapshot"))
        if loaded.snapshot is None:
            return None
        try:
            entry = decode_snapshot(loaded.snapshot.content, run=wire_run_id(self._config), schema=agent.schema)
        except ProtocolError as error:
            sink.emit(StateDamaged(path="snapshots", cause=error.detail, remedy="starting from the initial model"))
            return None
        try:
            if state_file.exists():
                agent.load(state_file)
        except StorageError as error:
            sink.emit(StateDamaged(path=str(state_file), cause=str(error), remedy="optimizer state starts afresh"))
        sink.emit(StateRestored(round=entry.round, model=entry.model))
        return entry

    def _finish(self, outcome: Outcome, slot: Slot, transport: Libp2pTransport, sink: LogSink) -> None:
        path: Path | None = slot.path / "model.safetensors"
        assert outcome.tip.state is not None
        assert path is not None
        try:
            save_model(path, ModelFile(state=outcome.tip.state, settings=self._model_settings(outcome)))
        except StorageError as error:
            sink.emit(StorageFailed(operation="save the final model", cause=str(error)))
            path = None
        counters = transport.counters()
        sink.emit(
            RunFinished(
                reason={"return": "solved", "rounds": "max_rounds"}.get(outcome.stop, "stopped"),
                rounds=outcome.tip.round,
                env_steps=outcome.tip.env_steps,
                wall_s=outcome.wall_s,
                bytes_sent=counters.get("bytes_sent", 0),
                bytes_received=counters.get("bytes_received", 0),
                mean_return=outcome.mean_return,
                model=outcome.tip.model,
                model_path=None if path is None else str(path),
            )
        )

    def _model_settings(self, outcome: Outcome) -> dict[str, str]:
        config = self._config
        return {
            "env": config.env.name,
            "hidden": ",".join(str(size) for size in config.model.hidden),
            "activation": config.model.activation,
            "normalize_observations": str(config.ppo.normalize_observations).lower(),
            "run": config.run.name,
            "round": str(outcome.tip.round),
            "env_steps": str(outcome.tip.env_steps),
            "model_hash": outcome.tip.model.hex(),
        }

    def _settings(self, identity: Identity) -> PpoSettings:
        config = self._config
        return PpoSettings(
            **config.ppo.model_dump(),
            hidden=config.model.hidden,
            activation=config.model.activation,
            seed=config.run.seed,
            local_seed=local_seed(config, identity.peer_id),
            threads=self._threads(),
            device=config.compute.device,
        )

    def _threads(self) -> int:
        if self._config.compute.threads != "auto":
            return self._config.compute.threads
        cores = len(os.sched_getaffinity(0))
        return max(1, min(cores, self._config.ppo.num_envs // _ENVS_PER_THREAD))

    def _transport_settings(self) -> Libp2pSettings:
        network = self._config.network
        kind = "ip6" if ":" in network.listen_host else "ip4"
        return Libp2pSettings(
            run_id=wire_run_id(self._config).hex(),
            listen_address=f"/{kind}/{network.listen_host}/tcp/{network.port}",
            max_connections=network.max_connections,
        )

    def _sources(self, transport: Libp2pTransport) -> list[DiscoverySource]:
        network = self._config.network

        def own_addresses() -> tuple[str, ...]:
            return (*transport.listen_addresses, *_addresses_of_this_host(network.port))

        sources: list[DiscoverySource] = [
            DnsDiscovery(service, port=network.port, own_addresses=own_addresses) for service in network.dns
        ]
        if network.addresses:
            sources.append(StaticDiscovery(network.addresses, own_addresses=own_addresses))
        return sources


async def _stop_on_signal(run_scope: trio.CancelScope, sink: LogSink) -> None:
    """SIGTERM and SIGINT end the run cleanly: state saved, exit code 0."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            sink.emit(ShutdownStarted(cause=signal.Signals(number).name))
            run_scope.cancel()


async def _heartbeat(slot: Slot, sink: LogSink) -> None:
    await beat_forever(Heartbeat(slot.path), sink=sink)


def _addresses_of_this_host(port: int) -> tuple[str, ...]:
    """The addresses that our own host name stands for: in a container, its address on the service's network."""
    try:
        found = socket.getaddrinfo(socket.gethostname(), port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(f"/ip4/{place[0]}/tcp/{port}" for *_, place in found)


def _tell_health_check(slot: Slot, slot_file: str | None) -> None:
    """Leave our folder's path where a health check looks for it (docker/healthcheck.sh)."""
    if slot_file is not None:
        write_atomic(Path(slot_file), f"{slot.path.resolve()}\n".encode())
