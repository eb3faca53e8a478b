"""What each part of a peer takes, made from the configuration and from what this machine has."""

import math
import os
from pathlib import Path

from peer.config.schema import Config
from peer.native import PpoSettings
from peer.network.discovery.dns import DnsDiscovery
from peer.network.discovery.source import DiscoverySource
from peer.network.discovery.static import StaticDiscovery
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.transport import Transport
from peer.node import local_seed, wire_run_id
from peer.types import PeerId

_ENVS_PER_THREAD = 128
"""Below this many envs a second thread costs more in waiting than it steps."""

_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where a container's CPU limit stands (cgroup v2): "<quota> <period>" in microseconds, or "max <period>"."""


def ppo_settings(config: Config, peer: PeerId) -> PpoSettings:
    return PpoSettings(
        **config.ppo.model_dump(),
        hidden=config.model.hidden,
        activation=config.model.activation,
        seed=config.run.seed,
        local_seed=local_seed(config, peer),
        threads=threads(config),
        device=config.compute.device,
        backend=config.compute.backend,
    )


def transport_settings(config: Config) -> Libp2pSettings:
    network = config.network
    kind = "ip6" if ":" in network.listen_host else "ip4"
    return Libp2pSettings(
        run_id=wire_run_id(config).hex(),
        listen_address=f"/{kind}/{network.listen_host}/tcp/{network.port}",
        max_connections=network.max_connections,
    )


def discovery_sources(config: Config, transport: Transport) -> list[DiscoverySource]:
    """Return every way to find peers that the configuration names; none at all is fine too."""
    network = config.network

    def own_addresses() -> tuple[str, ...]:
        return transport.listen_addresses  # any other address that leads to us is found out by dialling it, once

    sources: list[DiscoverySource] = [
        DnsDiscovery(service, port=network.port, own_addresses=own_addresses) for service in network.dns
    ]
    if network.addresses:
        sources.append(StaticDiscovery(network.addresses, own_addresses=own_addresses))
    return sources


def threads(config: Config, *, peers_here: int = 1) -> int:
    """Return how many threads a peer trains with. peers_here: peers that share this machine's cores."""
    if config.compute.threads != "auto":
        return config.compute.threads
    return max(1, min(usable_cores() // peers_here, config.ppo.num_envs // _ENVS_PER_THREAD))


def usable_cores(quota_file: Path = _CPU_QUOTA) -> int:
    """Return the cores that this process may use: its affinity, cut by a container's CPU limit (rounded up)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text().split()
        return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        return cores  # no such limit, or one that is kept elsewhere
