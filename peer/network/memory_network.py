"""A network inside one process, for swarms in virtual time: latency, loss, partitions and crashes on demand.

Only trio's clock is used, so under `trio.testing.MockClock(autojump_threshold=0)` minutes pass in
milliseconds. Each direction of each link draws from its own random stream, derived from the seed: a draw does
not depend on what other links do. For a replay to the last event, also run inside
`deterministic_schedule.deterministic_scheduling(seed)`.
"""

import heapq
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Never, TypeVar

import trio

from peer.errors import TransportError
from peer.types import PeerId, Seconds

if TYPE_CHECKING:
    from peer.network.memory_end import MemoryEnd

_Arg = TypeVar("_Arg")

_CRASH_DETECTION_S: Seconds = 0.3
"""Until others notice that a process was killed whose machine still answers; measured: 0.15 to 0.3 s."""

_TICK_S: Seconds = 0.005
"""Events are rounded up to this grid, so that near ones share a wake-up."""

Latency = Callable[[random.Random], Seconds]
"""Draw the one-way delay of one message."""


def fixed_latency(delay_s: Seconds) -> Latency:
    return lambda _rng: delay_s


def uniform_latency(low_s: Seconds, high_s: Seconds) -> Latency:
    return lambda rng: rng.uniform(low_s, high_s)


def lognormal_latency(median_s: Seconds, sigma: float) -> Latency:
    """Long-tailed delays, as on the internet; sigma 0.5 puts the 99th percentile at 3.2 times the median."""
    return lambda rng: median_s * math.exp(sigma * rng.gauss(0.0, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkProfile:
    """How one direction of a link treats messages. The defaults are a calm local network.

    latency: one-way delay. bytes_per_s: adds size / bytes_per_s (messages do not queue behind each other).
    gossip_loss, request_loss: probability that a gossip message, a request or a response vanishes; the
    requester of a lost one gets a TransportError `loss_delay_s` later. duplication: probability that gossip
    is handed over twice, in breach of the transport contract: it shows who relies on the filter.
    """

    latency: Latency = field(default=fixed_latency(0.005))
    bytes_per_s: float = math.inf
    gossip_loss: float = 0.0
    request_loss: float = 0.0
    loss_delay_s: Seconds = 5.0
    duplication: float = 0.0

    def __post_init__(self) -> None:
        for name in ("gossip_loss", "request_loss", "duplication"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a probability, got {getattr(self, name)}")
        if not self.bytes_per_s > 0.0:
            raise ValueError(f"bytes_per_s must be above 0, got {self.bytes_per_s}")


class Direction:
    """One direction of a link: its profile, its random stream, and whether it is blocked by hand."""

    __slots__ = ("blocked", "profile", "rng")

    def __init__(self, profile: LinkProfile, rng: random.Random) -> None:
        self.profile = profile
        self.rng = rng
        self.blocked = False

    def delay(self, size_bytes: int) -> Seconds:
        return max(0.0, self.profile.latency(self.rng)) + size_bytes / self.profile.bytes_per_s

    def loses(self, probability: float) -> bool:
        return probability > 0.0 and self.rng.random() < probability


class Link:
    """A live connection between two attachments; an old one is told from its successor by identity."""

    __slots__ = ("ends", "open")

    def __init__(self, one: "MemoryEnd", other: "MemoryEnd") -> None:
        self.ends = (one, other)
        self.open = True

    def other_end(self, end: "MemoryEnd") -> "MemoryEnd":
        return self.ends[1] if self.ends[0] is end else self.ends[0]


class MemoryNetwork:
    """The world between memory transports, and the switches that break it.

    seed: of every random draw. profile: of every link without its own. detection_s: how long a connection
    over a cut link lives on before both ends notice (libp2p with health monitoring: 3.2 s).
    dial_timeout_s: how long a dial into the void takes. gossip_degree: None delivers gossip to all connected
    peers directly, once each; a number floods it through that many random neighbours per peer, which costs
    more events and reaches peers that are not connected.
    """

    def __init__(
        self,
        seed: int,
        *,
        profile: LinkProfile | None = None,
        detection_s: Seconds = 3.2,
        dial_timeout_s: Seconds = 5.0,
        gossip_degree: int | None = None,
    ) -> None:
        self.seed = seed
        self.profile = profile or LinkProfile()
        self.detection_s = detection_s
        self.dial_timeout_s = dial_timeout_s
        self.gossip_degree = gossip_degree
        self._attached: dict[str, MemoryEnd] = {}
        self._directions: dict[tuple[PeerId, PeerId], Direction] = {}
        self._group_of: dict[PeerId, int] = {}
        self._links: dict[Link, int] = {}  # live link -> number of the cut it is under, 0 when whole
        self._heap: list[tuple[Seconds, int, Callable[[Any], None], Any]] = []  # Any: each act's own argument
        self._pause = trio.CancelScope()
        self._pumping = trio.Lock()
        self._events = 0
        self._cuts = 0

    # Breaking and mending.

    def set_profile(self, source: PeerId, target: PeerId, profile: LinkProfile) -> None:
        """Give one direction of one link its own profile."""
        self.direction(source, target).profile = profile

    def set_default_profile(self, profile: LinkProfile) -> None:
        """Give every link, known or new, this profile."""
        self.profile = profile
        for direction in self._directions.values():
            direction.profile = profile

    def change_profile(self, **changes: object) -> None:
        """Alter fields of the profile of every link: `change_profile(gossip_loss=0.02)`."""
        self.set_default_profile(replace(self.profile, **changes))  # type: ignore[arg-type]  # names are checked

    def partition(self, *groups: Iterable[PeerId]) -> None:
        """Cut every link between different groups; peers that are in no group form one more."""
        self._group_of = {peer: number for number, group in enumerate(groups, start=1) for peer in group}
        self._reconsider_links()

    def block(self, source: PeerId, target: PeerId) -> None:
        """Swallow everything from `source` to `target`; the other direction still works."""
        self.direction(source, target).blocked = True
        self._reconsider_links()

    def unblock(self, source: PeerId, target: PeerId) -> None:
        self.direction(source, target).blocked = False
        self._reconsider_links()

    def heal(self) -> None:
        """End every partition and block. Connections already given up stay down until somebody dials."""
        self._group_of = {}
        for direction in self._directions.values():
            direction.blocked = False
        self._reconsider_links()

    def crash(self, peer: PeerId, *, silent: bool = False) -> None:
        """Kill a peer: the body of its `open_memory_transport` block is cancelled on the spot.

        The others notice after a moment; with `silent` (the machine is gone) after `detection_s`.
        Raises: ValueError when no such peer is attached.
        """
        for end in list(self._attached.values()):
            if end.peer == peer:
                end.kill(notice_s=self.detection_s if silent else _CRASH_DETECTION_S)
                return
        raise ValueError(f"no attached peer {peer}")

    # For the ends.

    def attach(self, address: str, end: "MemoryEnd") -> None:
        """Raises: TransportError when the address is taken."""
        if address in self._attached:
            raise TransportError(f"address {address} is in use by {self._attached[address].peer}")
        self._attached[address] = end

    def detach(self, address: str) -> None:
        self._attached.pop(address, None)

    def listener(self, address: str) -> "MemoryEnd | None":
        return self._attached.get(address)

    def direction(self, source: PeerId, target: PeerId) -> Direction:
        found = self._directions.get((source, target))
        if found is None:
            found = Direction(self.profile, random.Random(f"{self.seed}/{source}/{target}"))
            self._directions[source, target] = found
        return found

    def passes(self, source: PeerId, target: PeerId) -> bool:
        """Return whether a message from `source` would reach `target` now, loss aside."""
        groups = self._group_of
        if groups and groups.get(source, 0) != groups.get(target, 0):
            return False
        return not self.direction(source, target).blocked

    def is_whole(self, one: PeerId, other: PeerId) -> bool:
        """Return whether pings between the two would be answered."""
        return self.passes(one, other) and self.passes(other, one)

    def add_link(self, link: Link) -> None:
        self._links[link] = 0

    def remove_link(self, link: Link) -> None:
        self._links.pop(link, None)

    def schedule(self, at: Seconds, act: Callable[[_Arg], None], argument: _Arg) -> None:
        """Call `act(argument)` at time `at`, rounded up to the next tick."""
        at = math.ceil(at / _TICK_S) * _TICK_S
        heapq.heappush(self._heap, (at, self.next_number(), act, argument))
        if at < self._pause.deadline:
            self._pause.deadline = at

    async def pump(self) -> Never:
        """Work off timed events for ever. Every end runs one; the eldest works, the others stand by.

        One pump for all, because waking a task costs ten times what an event costs.
        """
        async with self._pumping:
            heap = self._heap
            while True:
                with trio.CancelScope(deadline=heap[0][0] if heap else math.inf) as self._pause:
                    await trio.sleep_forever()
                now = trio.current_time()
                while heap and heap[0][0] <= now:
                    _, _, act, argument = heapq.heappop(heap)
                    act(argument)

    def next_number(self) -> int:
        """Number events and messages, so that equal times keep the order of sending."""
        self._events += 1
        return self._events

    def _reconsider_links(self) -> None:
        for link, cut in self._links.items():
            one, other = link.ends
            whole = self.is_whole(one.peer, other.peer)
            if whole:
                self._links[link] = 0
            elif not cut:
                self._cuts += 1
                self._links[link] = self._cuts
                at = trio.current_time() + self.detection_s
                for end in link.ends:
                    end.schedule(at, partial(self._give_up, end, link, self._cuts))

    def _give_up(self, end: "MemoryEnd", link: Link, cut: int) -> None:
        if not link.open or self._links.get(link) == cut:
            link.open = False
            self.remove_link(link)
            end.links.drop(link, "no answer to pings")
