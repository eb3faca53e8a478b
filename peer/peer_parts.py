"""What one peer is made of: parts that are open and ready, handed to `peer.node`."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from peer.admission.policy import AdmissionPolicy
from peer.agents.agent import Agent
from peer.aggregation.kernels import Kernels
from peer.network.announce import Announced
from peer.network.discovery.source import DiscoverySource
from peer.network.transport import Transport
from peer.rounds.entry import Entry
from peer.services.allow_lists import AllowListStore
from peer.services.archive import Archive
from peer.services.blocking import RunBlocking, in_thread
from peer.services.status import Running
from peer.services.tensorboard import TensorBoardKeeper
from peer.telemetry.counters import Counters
from peer.telemetry.names import NameBook
from peer.telemetry.sink import EventSink
from peer.wire.envelope import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerParts:
    """What one peer is made of; the parts are open and ready.

    name: for the logs of others.
    boot: how often this identity has been started.
    root: where to start; None: at genesis.
    kernels: arithmetic of aggregation; None: the core's, on one thread.
    announced: the addresses that others are told; None: what the transport listens on.
    current_addresses: what `announced` would be now, for a machine that moves; raises TransportError and OSError.
    admission: who may take part; everybody by default.
    allow_lists: where allow-lists are kept and come from; None: they come from other peers alone.

    archive, state_file, book_file, denied_file: what is kept between lives, None where nothing is: the chain, the state
    of the optimizer, the peers that were met, the proofs against others.
    tensorboard: what writes figures for TensorBoard, which is `sink`, too; None: nobody.
    blocking: how the disk is written to; the archive has its own.

    newer_boot: told the boot number of a newer process with our identity.
    ready: called before the first training step.
    running: called once, when they work, with the services that tell the peer's status.
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
    allow_lists: AllowListStore | None = None
    root: Entry | None = None
    archive: Archive | None = None
    state_file: Path | None = None
    tensorboard: TensorBoardKeeper | None = None
    kernels: Kernels | None = None
    ready: Callable[[], None] = lambda: None
    running: Callable[[Running], None] = lambda _: None
    announced: Announced | None = None
    current_addresses: Callable[[], Announced] | None = None
    book_file: Path | None = None
    denied_file: Path | None = None
    newer_boot: Callable[[int], None] = lambda _: None
    blocking: RunBlocking = in_thread
