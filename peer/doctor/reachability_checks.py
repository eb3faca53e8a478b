"""Checks of what is announced: whether the settings name an interface that exists, and what a running peer was told."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from peer.config.schema import Config
from peer.doctor.finding import Finding
from peer.errors import TransportError
from peer.services.status_answer import Status
from peer.services.status_socket import read_status
from peer.settings import announced
from peer.types import Seconds

_ANSWER_S: Seconds = 3.0


def check_announced(config: Config) -> Iterator[Finding]:
    """Say which addresses others will be told. Whether those lead here only others can tell (dial-back)."""
    try:
        told = announced(config, port=config.network.port).public
    except TransportError as error:
        step = "correct network.interface, bring the interface up, or set network.announce"
        yield Finding(verdict="fail", subject="announce", text=str(error), next_step=step)
        return
    if config.network.port == 0:
        told = tuple(re.sub("/tcp/0$", "/tcp/(any free port)", address) for address in told)
    text = f"others are told {', '.join(told)}" if told else "other machines are told no address"
    yield Finding(verdict="ok", subject="announce", text=text)
    yield from check_dial_back(config)


def check_dial_back(config: Config) -> Iterator[Finding]:
    """Say of each peer that runs here where other peers could reach it."""
    yield from map(_finding, running_here(config))


def running_here(config: Config) -> Iterator[Status]:
    """Ask the peers of the data folder that run."""
    for slot in sorted(Path(config.storage.data_dir).glob("slot-*")):
        try:
            yield read_status(slot, timeout_s=_ANSWER_S)
        except (OSError, msgspec.DecodeError):  # nobody runs there, or it is of no use: murmur status tells which
            continue


def _finding(status: Status) -> Finding:
    if status.superseded:
        text = f"{status.name}, which runs here, takes no part any more: another process has its identity"
        step = "murmur status says where; stop one of the two, or give each an identity.key of its own"
        return Finding(verdict="fail", subject="identity", text=text, next_step=step)
    if status.reached:
        return Finding(
            verdict="ok", subject="dial-back", text=f"{status.name} was reached at {', '.join(status.reached)}"
        )
    if status.reached is None:
        text = f"{status.name}: no other peer has tried to dial it yet"
        return Finding(verdict="warn", subject="dial-back", text=text, next_step="wait until it has met another peer")
    text = f"{status.name}: nobody could reach it at {', '.join(status.announced)}"
    step = "open or forward that TCP port, or set network.announce; without it the peer lives by its own connections"
    return Finding(verdict="warn", subject="dial-back", text=text, next_step=step)
