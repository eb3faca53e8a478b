"""Which connection gives way when all are taken: one of a peer that was not admitted.

Whoever has no card that fits may connect for as long as it takes to find that out, and may come back at once: with a
few identities it would hold all connections for ever. Pure.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from peer.types import Seconds

GRACE_S: Seconds = 0.5
"""For a newcomer to be admitted in, which takes two or three ways there and back."""

GRACE_ALONE_S: Seconds = 5.0
"""For one whose host has no other stranger here: it may be a slow machine, and many hosts are harder to come by."""

_Connection = TypeVar("_Connection")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A connection of a peer that was not admitted. host: as `host_key` names it."""

    host: str
    since: Seconds


def first_to_go(strangers: Mapping[_Connection, Stranger], now: Seconds) -> _Connection | None:
    """Return the connection to close, None when all are too young.

    The oldest of the host that has most of them: one host, however many identities it has, drives away no newcomer of
    another.
    """
    of_host = Counter(stranger.host for stranger in strangers.values())
    old = {
        conn: stranger
        for conn, stranger in strangers.items()
        if now - stranger.since >= _grace_s(of_host[stranger.host])
    }
    return min(old, key=lambda conn: (-of_host[old[conn].host], old[conn].since), default=None)


def _grace_s(of_its_host: int) -> Seconds:
    return GRACE_S if of_its_host > 1 else GRACE_ALONE_S
