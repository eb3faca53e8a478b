"""The federations that are compared: which processes each is made of."""

import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.federating.member import Member
from benchmarks.rivals.environments import ROOT, prepare
from peer.local_swarm import free_ports

_READY_WITHIN_S = 60.0
_HIDDEN = {9_155: "[64,64]", 1_057_283: "[512,512,512]"}
"""Layers of our networks for CartPole-v1, by the number of parameters that all contestants have then."""

SIZES = tuple(_HIDDEN)


class FederationError(Exception):
    """A contestant does not start or makes no rounds; the message holds its last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """params: of the model; one of `SIZES`. work_s: what each member does alone in a round."""

    members: int
    params: int
    work_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """members: who works. first: what the others were told to turn to, a server or the first member."""

    members: list[Member]
    first: Member

    @property
    def processes(self) -> list[Member]:
        return self.members if self.first in self.members else [self.first, *self.members]


Start = Callable[[Scenario, ExitStack, Path], Federation]


def start_ours(scenario: Scenario, stack: ExitStack, folder: Path) -> Federation:
    """`murmur peer` as users have it, but resting for most of its training, as the others do for all of theirs."""
    ports = free_ports(scenario.members)
    settings = (
        "log.format=json",
        "stop.mean_return=null",
        "compute.threads=1",
        "network.listen_host=127.0.0.1",
        f"network.addresses=[/ip4/127.0.0.1/tcp/{ports[0]}]",
        f"model.hidden={_HIDDEN[scenario.params]}",
        f"round.train_s={scenario.work_s}",
        "ppo.num_envs=4",  # a short rollout and little to learn from it: a call trains one at least
        "ppo.epochs=1",
        "round.eval_every=1000",  # nor do the others evaluate
    )
    command = [sys.executable, "-m", "tests.altered_peer", "--duty=0.01", "--", "peer", *settings]
    members = [
        stack.enter_context(
            Member(
                f"peer {number}",
                [*command, f"network.port={port}", f"storage.data_dir={folder}/{number}"],
                folder=ROOT,
                variables={},
            )
        )
        for number, port in enumerate(ports)
    ]
    return Federation(members=members, first=members[0])


def start_flower(scenario: Scenario, stack: ExitStack, folder: Path) -> Federation:
    port = free_ports(1)[0]
    address = f"127.0.0.1:{port}"
    server = stack.enter_context(_rival("flower", scenario, index=-1, address=address, folder=folder))
    _wait_for(server, lambda: _accepts_connections(port))  # clients do not
    members = [
        stack.enter_context(_rival("flower", scenario, index=number, address=address, folder=folder))
        for number in range(scenario.members)
    ]
    return Federation(members=members, first=server)


def start_hivemind(scenario: Scenario, stack: ExitStack, folder: Path) -> Federation:
    first = stack.enter_context(_rival("hivemind", scenario, index=0, address="", folder=folder))
    _wait_for(first, lambda: bool(first.address))
    others = [
        stack.enter_context(_rival("hivemind", scenario, index=number, address=first.address, folder=folder))
        for number in range(1, scenario.members)
    ]
    return Federation(members=[first, *others], first=first)


FEDERATIONS: dict[str, Start] = {
    "Murmuration": start_ours,
    "Flower 1.42": start_flower,
    "hivemind 1.1.12": start_hivemind,
}


def _wait_for(process: Member, is_ready: Callable[[], bool]) -> None:
    """Wait until others may turn to `process`. Raises: FederationError."""
    until = time.monotonic() + _READY_WITHIN_S
    while not is_ready():
        if process.has_ended or time.monotonic() > until:
            raise FederationError(f"{process.name} does not get ready: " + "\n".join(process.tail))
        time.sleep(0.1)


def _accepts_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _rival(name: str, scenario: Scenario, *, index: int, address: str, folder: Path) -> Member:
    python, _ = prepare(name)
    options = {
        "index": index,
        "members": scenario.members,
        "params": scenario.params,
        "work-s": scenario.work_s,
        "address": address,
    }
    return Member(
        f"{name} {index}",
        [
            str(python),
            "-m",
            f"benchmarks.rivals.federate_{name}",
            *(f"--{key}={value}" for key, value in options.items()),
        ],
        folder=folder,
        variables={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
