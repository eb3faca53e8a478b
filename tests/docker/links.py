"""Cut, thin out and restore the links between containers, by iptables in their network namespaces. Needs root.

The rules live in the namespaces and end with the containers, so nothing is left behind on the machine.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.docker.compose_swarm import Container

_DOCKER_DNS = "127.0.0.11"


def why_not() -> str | None:
    """Return what is missing here for any of these, None when all is there."""
    if os.geteuid() != 0:
        return "rules in a container's network need root"
    missing = [program for program in ("nsenter", "iptables") if shutil.which(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


@contextmanager
def parted(*sides: Iterable[Container]) -> Iterator[None]:
    """Let no packet pass between the sides, whose containers still reach those of their own side."""
    groups = [list(side) for side in sides]
    rules = [
        (here, ["INPUT", "-s", address_of(there), "-j", "DROP"])
        for group in groups
        for other in groups
        if other is not group
        for here in group
        for there in other
    ]
    with _held(rules):
        yield


@contextmanager
def deaf_to(here: Container, others: Iterable[Container]) -> Iterator[None]:
    """Drop what `others` send to `here`, and nothing of what it sends: a link that works one way."""
    with _held([(here, ["INPUT", "-s", address_of(other), "-j", "DROP"]) for other in others]):
        yield


@contextmanager
def lossy(containers: Iterable[Container], *, share: float) -> Iterator[None]:
    """Drop a random share of the packets that each container gets, loopback excepted."""
    rule = ["INPUT", "!", "-i", "lo", "-m", "statistic", "--mode", "random", "--probability", f"{share}", "-j", "DROP"]
    with _held([(container, rule) for container in containers]):
        yield


@contextmanager
def without_dns(containers: Iterable[Container]) -> Iterator[None]:
    with _held([(container, ["OUTPUT", "-d", _DOCKER_DNS, "-j", "DROP"]) for container in containers]):
        yield


def address_of(container: Container) -> str:
    container.reload()
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])


@contextmanager
def _held(rules: list[tuple[Container, list[str]]]) -> Iterator[None]:
    done: list[tuple[Container, list[str]]] = []
    try:
        for container, rule in rules:
            _iptables(container, ["-I", *rule])
            done.append((container, rule))
        yield
    finally:
        for container, rule in done:
            _iptables(container, ["-D", *rule], check=False)  # its namespace may have ended with it


def _iptables(container: Container, arguments: list[str], *, check: bool = True) -> None:
    pid = container.attrs["State"]["Pid"]
    subprocess.run(
        ["nsenter", "-t", str(pid), "-n", "iptables", "-w", *arguments], check=check, capture_output=True, text=True
    )
