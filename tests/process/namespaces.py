"""Machines made of network namespaces: behind NATs, with a router that all reach; or on one Ethernet."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

MISSING = (
    "needs root"
    if os.geteuid() != 0
    else "".join(f"needs {tool}" for tool in ("ip", "iptables") if not shutil.which(tool))
)
"""Why no namespaces can be made here, "" when they can."""


class Namespaces:
    """A namespace `open` with one network to each of `hosts`, which drop whatever they did not ask for."""

    def __init__(self, hosts: Sequence[str]) -> None:
        tag = f"m{os.getpid() % 100_000}"
        self.router = f"{tag}-open"
        self.hosts = {host: f"{tag}-{host}" for host in hosts}

    def router_address(self, host: str) -> str:
        """Return where `host` reaches the router."""
        return f"10.231.{self._number(host)}.1"

    def make(self) -> None:
        _run("ip", "netns", "add", self.router)
        _run("ip", "-n", self.router, "link", "set", "lo", "up")
        for host, namespace in self.hosts.items():
            number = self._number(host)
            socket = f"host{number}"
            _add_host(namespace, self.router, socket)
            _set_up(self.router, socket, f"10.231.{number}.1/24")
            _set_up(namespace, "eth0", f"10.231.{number}.2/24")
            for rule in (("-i", "lo", "-j", "ACCEPT"), ("-p", "tcp", "--syn", "-j", "DROP")):
                _run("ip", "netns", "exec", namespace, "iptables", "-A", "INPUT", *rule)

    def remove(self) -> None:
        _delete(*self.hosts.values(), self.router)

    def _number(self, host: str) -> int:
        return list(self.hosts).index(host) + 1


class Lan:
    """Hosts on one bridge, each in a namespace of its own: what one multicasts reaches the others."""

    def __init__(self, hosts: Sequence[str]) -> None:
        tag = f"n{os.getpid() % 100_000}"
        self._bridge = f"{tag}-lan"
        self.hosts = {host: f"{tag}-{host}" for host in hosts}

    def make(self) -> None:
        """The bridge has a namespace too, so that nothing of this machine's own network is touched."""
        _run("ip", "netns", "add", self._bridge)
        _run("ip", "-n", self._bridge, "link", "add", "lan", "type", "bridge")
        _run("ip", "-n", self._bridge, "link", "set", "lan", "up")
        for number, (host, namespace) in enumerate(self.hosts.items(), start=1):
            socket = f"host{number}"
            _add_host(namespace, self._bridge, socket)
            _run("ip", "-n", self._bridge, "link", "set", socket, "master", "lan", "up")
            _set_up(namespace, "eth0", f"{self.address_of(host)}/24")

    def address_of(self, host: str) -> str:
        return f"10.232.0.{list(self.hosts).index(host) + 1}"

    def move(self, host: str, address: str) -> None:
        """Give a host another address, as a router does that has forgotten it."""
        inside = ("ip", "-n", self.hosts[host], "address")
        _run(*inside, "delete", f"{self.address_of(host)}/24", "dev", "eth0")
        _run(*inside, "add", f"{address}/24", "dev", "eth0")

    def remove(self) -> None:
        _delete(*self.hosts.values(), self._bridge)


_World = TypeVar("_World", Namespaces, Lan)


def lan(hosts: Sequence[str]) -> AbstractContextManager[Lan]:
    return _standing(Lan(hosts))


def nat_world(hosts: Sequence[str]) -> AbstractContextManager[Namespaces]:
    return _standing(Namespaces(hosts))


@contextmanager
def _standing(world: _World) -> Iterator[_World]:
    try:
        world.make()
        yield world
    finally:
        world.remove()


def _add_host(namespace: str, centre: str, socket: str) -> None:
    """Add a namespace whose eth0 is plugged into the interface `socket` of the namespace `centre`."""
    _run("ip", "netns", "add", namespace)
    _run("ip", "-n", namespace, "link", "set", "lo", "up")
    plug = ("peer", "name", "eth0", "netns", namespace)
    _run("ip", "-n", centre, "link", "add", socket, "type", "veth", *plug)


def _set_up(namespace: str, interface: str, address: str) -> None:
    _run("ip", "-n", namespace, "address", "add", address, "dev", interface)
    _run("ip", "-n", namespace, "link", "set", interface, "up")


def _delete(*namespaces: str) -> None:
    for namespace in namespaces:
        subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
