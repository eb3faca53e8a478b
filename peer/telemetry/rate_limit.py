"""Tell the first of many equal events at once, and later only how many there were: the rarer, the longer it lasts."""

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace

from peer.telemetry.event import RepeatedEvent
from peer.types import Seconds

MAX_KEYS = 256
"""Of events that last, and as many of others."""
LONGEST_S: Seconds = 600.0
"""Between two lines about what lasts: an operator who looks at the end of a log of weeks still finds it."""
QUIET_S: Seconds = 120.0
"""What lasts is over when it did not come for so long. Whoever is refused dials again every 30 s or so."""

Key = tuple[str, ...]

_NAMED = 2
"""Parts of the shortest group that names somebody; strangers that share one are told by themselves."""


@dataclass(slots=True, kw_only=True)
class _Track:
    """What was told of one kind of event, and what is held back.

    group: tracks that are told together. number: of the last event that was held, in the order of all.

    lasts: whether `pause_s`, the time between two lines, grows as long as the event keeps coming.
    """

    group: Key
    lasts: bool
    pause_s: Seconds
    told_at: Seconds
    came_at: Seconds
    held: RepeatedEvent | None = None
    number: int = 0

    def tell(self, now: Seconds) -> None:
        self.told_at, self.held = now, None
        if self.lasts:
            self.pause_s = min(2 * self.pause_s, LONGEST_S)

    def is_ripe(self, now: Seconds) -> bool:
        """Return whether what is held may be told."""
        return now - self.told_at >= self.pause_s or (self.lasts and now - self.came_at >= QUIET_S)

    def goes_with(self, groups: Set[Key]) -> bool:
        """Return whether this is told together with `groups`: it is one of them, or its key begins with one's."""
        return self.group in groups or self.group[:_NAMED] in groups

    def is_over(self, now: Seconds) -> bool:
        return now - self.came_at >= QUIET_S if self.lasts else now - self.told_at >= self.pause_s


class RateLimit:
    """Pure: `now` is any monotonic clock.

    Beyond MAX_KEYS different keys, strangers share one key for each type of event, so that an attacker with many names
    fills neither memory nor log.
    """

    def __init__(self, *, period_s: Seconds) -> None:
        """period_s: between two lines about an event that keeps coming; of one that lasts, at first."""
        self._period_s = period_s
        self._tracks: dict[Key, _Track] = {}
        self._held = 0

    def admit(self, event: RepeatedEvent, *, now: Seconds) -> RepeatedEvent | None:
        """Return the event to tell now, with the count of those held back before it, or None to hold it."""
        kind, names = type(event).__name__, event.repeat_key()
        if (kind, *names) not in self._tracks and self._is_full(lasting=event.lasts):
            names = ()
        key = (kind, *names)
        track = self._tracks.get(key)
        if track is None:
            self._tracks[key] = _Track(
                group=(event.told_with or kind, *names),
                lasts=event.lasts,
                pause_s=self._period_s,
                told_at=now,
                came_at=now,
            )
            return event
        track.came_at = now
        total = replace(event, count=event.count + (track.held.count if track.held else 0))
        if now - track.told_at < track.pause_s:
            self._held += 1
            track.held, track.number = total, self._held
            return None
        track.tell(now)
        return total

    def overtaken(self, event: RepeatedEvent) -> list[RepeatedEvent]:
        """Return what is held of events that are told with `event`, which is told now: it came before.

        Should they come again, that is news: they are told as soon as at first.
        """
        if not event.told_with:
            return []
        kind, group = type(event).__name__, (event.told_with, *event.repeat_key())
        before = [track for key, track in self._tracks.items() if key[0] != kind and track.group[: len(group)] == group]
        told = _in_order(before)
        for track in before:
            track.held, track.pause_s = None, self._period_s
        return told

    def due(self, *, now: Seconds) -> list[RepeatedEvent]:
        """Return held events whose time has come, and forget keys that were quiet for a whole period."""
        groups = {track.group for track in self._tracks.values() if track.held and track.is_ripe(now)}
        ripe = [track for track in self._tracks.values() if track.held and track.goes_with(groups)]
        self._tracks = {key: track for key, track in self._tracks.items() if track.held or not track.is_over(now)}
        told = _in_order(ripe)
        for track in ripe:
            track.tell(now)
        return told

    def rest(self) -> list[RepeatedEvent]:
        """Return everything still held, at the end."""
        held = _in_order(self._tracks.values())
        self._tracks.clear()
        return held

    def _is_full(self, *, lasting: bool) -> bool:
        return sum(track.lasts == lasting for track in self._tracks.values()) >= MAX_KEYS


def _in_order(tracks: Iterable[_Track]) -> list[RepeatedEvent]:
    return [track.held for track in sorted(tracks, key=lambda track: track.number) if track.held is not None]
