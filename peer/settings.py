"""What each part of a peer takes, made from the configuration and from what this machine has."""

import math
import os
import socket
from pathlib import Path

from peer.addresses import bound_port
from peer.admission.allow_list import Authority
from peer.admission.policy import AdmissionPolicy, FoundList
from peer.config.schema import Config
from peer.native import PpoSettings
from peer.network.announce import Announced, announced_addresses, multicast_addresses
from peer.network.discovery.dns import DnsDiscovery
from peer.network.discovery.source import DiscoverySource
from peer.network.discovery.static import StaticDiscovery
from peer.network.interfaces import interface_addresses
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.transport import Transport
from peer.round_parts import local_seed, wire_run_id
from peer.storage.allow_list_file import ALLOW_LIST_FILE, load_allow_list, read_allow_list
from peer.storage.swarm_key_file import load_swarm_key
from peer.telemetry.names import MAX_NAME_LENGTH
from peer.types import PeerId

_ENVS_PER_THREAD = 128
"""Below this many envs a second thread costs more in waiting than it steps."""

_CGROUP = Path("/sys/fs/cgroup")
"""Where a container's CPU limit stands: see `_cpu_limit`."""


def ppo_settings(config: Config, peer: PeerId, *, slot: int = 0) -> PpoSettings:
    """Return what the learner takes. slot: number of this peer among those on its machine, from 0.

    Raises: ValueError when threads shall be pinned and there are fewer cores.
    """
    return PpoSettings(
        **config.ppo.model_dump(),
        **config.model.model_dump(),
        seed=config.run.seed,
        local_seed=local_seed(config, peer),
        threads=threads(config),
        cpus=pinned_cpus(config, slot=slot),
        device=config.compute.device,
        backend=config.compute.backend,
    )


def transport_settings(config: Config) -> Libp2pSettings:
    network = config.network
    return Libp2pSettings(
        run_id=wire_run_id(config).hex(),
        listen_address=_listen_address(config, port=network.port),
        max_connections=network.max_connections,
        gossip_rate=network.max_messages_per_s,
    )


def announced(config: Config, *, port: int) -> Announced:
    """Return the addresses to tell others. port: the one that is bound, 0 to find out only whether the settings fit.

    Raises: TransportError when network.interface has no address of the kind that we listen on.
    """
    network = config.network
    return announced_addresses(
        _listen_address(config, port=port),
        interface_addresses(),
        announce=network.announce,
        interface=network.interface,
    )


def listen_family(config: Config) -> socket.AddressFamily:
    """Return IPv4 or IPv6: a peer listens on one of the two."""
    return socket.AF_INET6 if ":" in config.network.listen_host else socket.AF_INET


def _listen_address(config: Config, *, port: int) -> str:
    kind = "ip6" if listen_family(config) == socket.AF_INET6 else "ip4"
    return f"/{kind}/{config.network.listen_host}/tcp/{port}"


def discovery_sources(config: Config, transport: Transport) -> list[DiscoverySource]:
    """Return every way to find peers that the configuration names; none at all is fine too."""
    network = config.network

    def own_addresses() -> tuple[str, ...]:
        return transport.listen_addresses  # any other address that leads to us is found out by dialling it, once

    sources: list[DiscoverySource] = [
        DnsDiscovery(service, port=network.port, own_addresses=own_addresses, family=listen_family(config))
        for service in network.dns
    ]
    if network.addresses:
        sources.append(StaticDiscovery(network.addresses, own_addresses=own_addresses))
    if network.mdns:
        sources.append(_mdns(config, transport))
    return sources


def _mdns(config: Config, transport: Transport) -> DiscoverySource:
    from peer.network.discovery.mdns import MdnsDiscovery  # zeroconf is not loaded for nothing

    return MdnsDiscovery(
        run=wire_run_id(config),
        peer=transport.local_peer,
        session=transport.session,
        announced=lambda: announced(config, port=bound_port(transport.listen_addresses)).public,
        networks=lambda: multicast_addresses(interface_addresses(), interface=config.network.interface),
    )


def admission_policy(config: Config, slot: Path) -> AdmissionPolicy:
    """Return who may take part. Raises: StorageError when a file that the user names cannot be used."""
    network = config.network
    files: list[Path] = []
    if network.allow_list is not None:
        load_allow_list(Path(network.allow_list))  # the user's own file must be one: say so at the start
        files.append(Path(network.allow_list))
    if network.authorities and (slot / ALLOW_LIST_FILE).exists():
        files.append(slot / ALLOW_LIST_FILE)
    return AdmissionPolicy(
        run=config.run.name,
        swarm_key=None if network.swarm_key_file is None else load_swarm_key(Path(network.swarm_key_file)),
        authority=Authority(keys=tuple(map(PeerId, network.authorities)), needed=network.authority_signatures),
        known=tuple(FoundList(str(file), read_allow_list(file)) for file in files),
    )


def peer_name(config: Config) -> str | None:
    """Return what this peer is to be called, as long as a card may hold; of machines the end tells more."""
    name = config.network.peer_name
    return None if name is None else name[-MAX_NAME_LENGTH:]


def threads(config: Config, *, peers_here: int = 1) -> int:
    """Return how many threads a peer trains with. peers_here: peers that share this machine's cores."""
    if config.compute.threads != "auto":
        return config.compute.threads
    return max(1, min(usable_cores() // peers_here, config.ppo.num_envs // _ENVS_PER_THREAD))


def pinned_cpus(config: Config, *, slot: int) -> tuple[int, ...]:
    """Return the core of each thread, none when they are not pinned.

    Peers take the machine's cores in the order of their slots, `threads` each, and begin anew when all are taken.
    Raises: ValueError when this process may use fewer cores than it has threads.
    """
    if not config.compute.pin_threads:
        return ()
    count, usable = threads(config), sorted(os.sched_getaffinity(0))
    if count > len(usable):
        raise ValueError(
            f"compute.pin_threads: expected a core for each of compute.threads = {count}, this process may use"
            f" {len(usable)}; lower compute.threads, or leave pin_threads false"
        )
    return tuple(usable[(slot * count + i) % len(usable)] for i in range(count))


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Return the cores that this process may use: its affinity, cut by a container's CPU limit (rounded up)."""
    cores = len(os.sched_getaffinity(0))
    limit = _cpu_limit(cgroup)
    return cores if limit is None else max(1, min(cores, math.ceil(limit)))


def _cpu_limit(cgroup: Path) -> float | None:
    """Return how many cores' time the container may take; None where there is no limit, or none that we can read.

    In microseconds of each period: version 2 has "<quota or max> <period>" in one file, version 1 a file for each, with
    a quota of -1 for none.
    """
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / name).read_text() for name in files).split()
            return None if quota in ("max", "-1") else int(quota) / int(period)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None
