"""What a peer knows of what was published, and what it tells its neighbours (docs/adr/0053).

Whoever publishes a message hands it to each of its neighbours; nobody passes it on unasked, so everybody gets it once.
Neighbours of the publisher alone hear it so. For the others, every peer names what it got to a few of its neighbours at
random, a little later, and those ask for what they lack: push and lazy pull, as in bimodal multicast (Birman et al.
1999) and the lazy half of Plumtree (Leitao et al. 2007). In a full mesh, which is what a swarm of a few dozen peers is,
every peer gets one copy of every message, where GossipSub hands it six. A peer with so many neighbours that there are
probably more than it knows passes on what is new to a few at once.

Pure: the clock and the draw are arguments.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from peer.network.gossip_frames import MAX_NAMES, MAX_WANTED, MessageId, message_id
from peer.types import PeerId, Seconds

__all__ = ["MAX_KEPT_BYTES", "MAX_SEEN", "Gossip"]

FIRST_NAMED_S: Seconds = 0.5
"""Age from which on a message is named: what its publisher sends to everybody has arrived by then."""

LAST_NAMED_S: Seconds = 2.5
KEPT_S: Seconds = 6.0
"""How long a message can be asked for: whoever was told of it last still has time to ask."""

MAX_KEPT_BYTES = 8 * 1024 * 1024
"""Of messages that can be asked for; beyond it the oldest goes first. 64 peers publish about 1 MiB in that time."""

SEEN_S: Seconds = 120.0
MAX_SEEN = 65_536
"""Messages remembered so that a second copy is dropped; the oldest goes first. 4 MiB."""

ASK_AGAIN_S: Seconds = 1.0
"""Then another neighbour that names it is asked."""

ASKED_S: Seconds = 3.0
"""In which none is asked twice: one that names all and gives nothing would be asked first each time, until nobody else
names a message any more."""

MAX_ASKED = 8192
"""Messages remembered as asked for; beyond it the oldest is forgotten, and may be asked for twice. Names are easily
made up: 32,000 a second by one neighbour."""

FANOUT = 2
"""Neighbours that are told in one go: four times until `LAST_NAMED_S`, by every peer."""

CALM_TELLINGS = 40
"""Namings in a row that nobody answers, and nothing that we lack: from then on, this is a full mesh in which nothing is
lost. Named in it, a message costs as much as it did to send it, and nobody lacks it."""

CALM_LOOKS = 3
"""Then every third look is enough: each message is still named once or twice before `LAST_NAMED_S`, by every peer."""

CROWD = 48
"""Neighbours from which on messages are passed on; as many peers as seal without groups (docs/adr/0035)."""

CROWD_FANOUT = 4

Draw = Callable[[Sequence[PeerId], int], list[PeerId]]
"""A sample without replacement, of all where there are fewer."""


class _Kept:
    __slots__ = ("at", "data", "holders", "named_from")

    def __init__(self, data: bytes, holder: PeerId | None, at: Seconds, *, pulled: bool) -> None:
        self.data = data
        self.at = at
        self.named_from = at if pulled else at + FIRST_NAMED_S
        """What had to be asked for here is lacking elsewhere too."""
        self.holders = {holder}
        """Who has it for certain: it came from them, or went to them. Nobody is given it twice."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """at: when a neighbour was asked last. whom: all that were."""

    at: Seconds
    whom: frozenset[PeerId]


class Gossip:
    """One peer's part in it."""

    def __init__(self, *, draw: Draw) -> None:
        self._draw = draw
        self._seen: OrderedDict[MessageId, Seconds] = OrderedDict()
        self._kept: OrderedDict[MessageId, _Kept] = OrderedDict()
        self._asked: dict[MessageId, _Asked] = {}
        self._kept_bytes = 0
        self._neighbours: frozenset[PeerId] = frozenset()
        self._unanswered = 0

    def publish(self, data: bytes, neighbours: Collection[PeerId], now: Seconds) -> None:
        """Take note of a message of our own that is sent to all `neighbours`."""
        kept = self._keep(message_id(data), data, None, now, pulled=False)
        kept.holders.update(neighbours)

    def is_new(self, source: PeerId, data: bytes, now: Seconds) -> bool:
        """Take note of a message that `source` handed over; return whether it is the first copy."""
        name = message_id(data)
        asked = self._asked.pop(name, None) is not None
        if name in self._seen:
            if (kept := self._kept.get(name)) is not None:
                kept.holders.add(source)
            return False
        self._keep(name, data, source, now, pulled=asked)
        return True

    def pass_on(self, data: bytes, neighbours: Collection[PeerId]) -> list[PeerId]:
        """Return which neighbours to hand a new message to at once; none unless there is a crowd."""
        kept = self._kept.get(message_id(data))
        if kept is None or len(neighbours) < CROWD:
            return []
        chosen = self._draw(sorted(peer for peer in neighbours if peer not in kept.holders), CROWD_FANOUT)
        kept.holders.update(chosen)
        return chosen

    def lacking(self, source: PeerId, names: Sequence[MessageId], now: Seconds) -> list[MessageId]:
        """Return which of the messages that `source` has named to ask it for.

        That is those that nobody is asked for now, and for which it was not asked in vain.
        """
        wanted = [name for name in names if name not in self._seen and self._may_ask(source, name, now)][:MAX_WANTED]
        if wanted:
            self._unanswered = 0
        for name in wanted:
            before = self._asked.pop(name, None)
            self._asked[name] = _Asked(now, frozenset((source,)) if before is None else before.whom | {source})
        while len(self._asked) > MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        return wanted

    def give(self, asker: PeerId, names: Sequence[MessageId]) -> list[bytes]:
        """Return what `asker` wants and is not known to have had."""
        given = []
        for name in names[:MAX_WANTED]:
            kept = self._kept.get(name)
            if kept is not None and asker not in kept.holders:
                kept.holders.add(asker)
                given.append(kept.data)
        if given:
            self._unanswered = 0
        return given

    def tell(self, neighbours: AbstractSet[PeerId], now: Seconds) -> dict[PeerId, list[MessageId]]:
        """Return whom to tell now which messages; forget what is too old.

        To be called every half second or so; a third as often while `is_calm`.
        """
        self._forget(now)
        if self._neighbours != neighbours:
            self._neighbours, self._unanswered = frozenset(neighbours), 0
        named = [name for name, kept in self._kept.items() if kept.named_from <= now < kept.at + LAST_NAMED_S]
        if not named:
            return {}
        chosen = self._draw(sorted(neighbours), FANOUT)
        told = {peer: [name for name in named if peer not in self._kept[name].holders] for peer in chosen}
        tellings = {peer: names[-MAX_NAMES:] for peer, names in told.items() if names}
        self._unanswered += len(tellings)
        return tellings

    @property
    def is_calm(self) -> bool:
        """Whether it is long ago that anybody lacked a message, and the neighbours are the same since."""
        return self._unanswered >= CALM_TELLINGS

    def __len__(self) -> int:
        """Count the messages that can be asked for."""
        return len(self._kept)

    def _may_ask(self, source: PeerId, name: MessageId, now: Seconds) -> bool:
        asked = self._asked.get(name)
        return asked is None or (now - asked.at >= ASK_AGAIN_S and source not in asked.whom)

    def _keep(self, name: MessageId, data: bytes, holder: PeerId | None, now: Seconds, *, pulled: bool) -> _Kept:
        self._seen[name] = now
        self._seen.move_to_end(name)
        if (before := self._kept.pop(name, None)) is not None:
            self._kept_bytes -= len(before.data)
        kept = self._kept[name] = _Kept(data, holder, now, pulled=pulled)
        self._kept_bytes += len(data)
        while self._kept_bytes > MAX_KEPT_BYTES:
            self._drop_oldest()
        while len(self._seen) > MAX_SEEN:
            self._seen.popitem(last=False)
        return kept

    def _drop_oldest(self) -> None:
        _, kept = self._kept.popitem(last=False)
        self._kept_bytes -= len(kept.data)

    def _forget(self, now: Seconds) -> None:
        while self._kept and now - next(iter(self._kept.values())).at >= KEPT_S:
            self._drop_oldest()
        while self._seen and now - next(iter(self._seen.values())) >= SEEN_S:
            self._seen.popitem(last=False)
        self._asked = {name: asked for name, asked in self._asked.items() if now - asked.at < ASKED_S}
