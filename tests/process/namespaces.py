"""Machines made of network namespaces: behind NATs, with a router that all reach; or on one Ethernet."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

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
        self._tag = tag

    def router_address(self, host: str) -> str:
        """Return where `host` reaches the router."""
        return f"10.231.{self._number(host)}.1"

    def make(self) -> None:
        _run("ip", "netns", "add", self.router)
        _run("ip", "-n", self.router, "link", "set", "lo", "up")
        for host, namespace in self.hosts.items():
            number = self._number(host)
            inside, outside = f"{self._tag}i{number}", f"{self._tag}o{number}"
            _run("ip", "netns", "add", namespace)
            _run("ip", "-n", namespace, "link", "set", "lo", "up")
            _run("ip", "-n", self.router, "link", "add", outside, "type", "veth", "peer", "name", inside)
            _run("ip", "-n", self.router, "link", "set", inside, "netns", namespace)
            _run("ip", "-n", namespace, "link", "set", inside, "name", "eth0")
            for name, device, address in ((self.router, outside, 1), (namespace, "eth0", 2)):
                _run("ip", "-n", name, "address", "add", f"10.231.{number}.{address}/24", "dev", device)
                _run("ip", "-n", name, "link", "set", device, "up")
            for rule in (("-i", "lo", "-j", "ACCEPT"), ("-p", "tcp", "--syn", "-j", "DROP")):
                _run("ip", "netns", "exec", namespace, "iptables", "-A", "INPUT", *rule)

    def remove(self) -> None:
        for namespace in (*self.hosts.values(), self.router):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)

    def _number(self, host: str) -> int:
        return list(self.hosts).index(host) + 1


class Lan:
    """Hosts on one bridge, each in a namespace of its own: what one multicasts reaches the others."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._tag = f"n{os.getpid() % 100_000}"
        self._bridge = f"{self._tag}-lan"
        self.hosts = {host: f"{self._tag}-{host}" for host in hosts}

    def make(self) -> None:
        """The bridge has a namespace too, so that nothing of this machine's own network is touched."""
        _run("ip", "netns", "add", self._bridge)
        _run("ip", "-n", self._bridge, "link", "add", "lan", "type", "bridge")
        _run("ip", "-n", self._bridge, "link", "set", "lan", "up")
        for number, namespace in enumerate(self.hosts.values(), start=1):
            inside, outside = f"{self._tag}i{number}", f"{self._tag}o{number}"
            _run("ip", "netns", "add", namespace)
            _run("ip", "-n", namespace, "link", "set", "lo", "up")
            _run("ip", "-n", self._bridge, "link", "add", outside, "type", "veth", "peer", "name", inside)
            _run("ip", "-n", self._bridge, "link", "set", inside, "netns", namespace)
            _run("ip", "-n", self._bridge, "link", "set", outside, "master", "lan")
            _run("ip", "-n", self._bridge, "link", "set", outside, "up")
            _run("ip", "-n", namespace, "link", "set", inside, "name", "eth0")
            _run("ip", "-n", namespace, "address", "add", f"10.232.0.{number}/24", "dev", "eth0")
            _run("ip", "-n", namespace, "link", "set", "eth0", "up")

    def remove(self) -> None:
        for namespace in (*self.hosts.values(), self._bridge):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


@contextmanager
def lan(hosts: Sequence[str]) -> Iterator[Lan]:
    world = Lan(hosts)
    with ExitStack() as stack:
        stack.callback(world.remove)
        world.make()
        yield world


@contextmanager
def nat_world(hosts: Sequence[str]) -> Iterator[Namespaces]:
    world = Namespaces(hosts)
    with ExitStack() as stack:
        stack.callback(world.remove)
        world.make()
        yield world


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
