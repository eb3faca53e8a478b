"""Machines behind NATs, made of network namespaces: a router that all reach, and hosts that can only dial out."""

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
