"""Tell the first of many equal events at once, and later only how many there were."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from peer.telemetry.event import RepeatedEvent
from peer.types import Seconds

MAX_KEYS = 256

Key = tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Track:
    """group: tracks that are told together. number: of the last event that was held, in the order of all."""

    group: Key
    told_at: Seconds
    held: RepeatedEvent | None
    number: int = 0


class RateLimit:
    """Pure: `now` is any monotonic clock. Beyond MAX_KEYS different keys, strangers share one key a type, so
    that an attacker with many names fills neither memory nor log."""

    def __init__(self, *, period_s: Seconds) -> None:
        self._period_s = period_s
        self._tracks: dict[Key, _Track] = {}
        self._held = 0

    def admit(self, event: RepeatedEvent, *, now: Seconds) -> RepeatedEvent | None:
        """Return the event to tell now, with the count of those held back before it, or None to hold it."""
        kind, names = type(event).__name__, event.repeat_key()
        if (kind, *names) not in self._tracks and len(self._tracks) >= MAX_KEYS:
            names = ()
        key = (kind, *names)
        track = self._tracks.get(key)
        if track is None:
            self._tracks[key] = _Track(group=(event.told_with or kind, *names), told_at=now, held=None)
            return event
        total = replace(event, count=event.count + (track.held.count if track.held else 0))
        if now - track.told_at < self._period_s:
            self._held += 1
            track.held, track.number = total, self._held
            return None
        track.told_at, track.held = now, None
        return total

    def overtaken(self, event: RepeatedEvent) -> list[RepeatedEvent]:
        """Return what is held of events that are told with `event`, which is told now: it came before."""
        group = (event.told_with, *event.repeat_key())
        before = [track for track in self._tracks.values() if event.told_with and track.group == group and track.held]
        told = _in_order(before)
        for track in before:
            track.held = None
        return told

    def due(self, *, now: Seconds) -> list[RepeatedEvent]:
        """Return held events whose time has come, and forget keys that were quiet for a whole period."""
        groups = {track.group for track in self._tracks.values() if track.held and self._is_quiet(track, now)}
        ripe = [track for track in self._tracks.values() if track.held and track.group in groups]
        self._tracks = {
            key: track for key, track in self._tracks.items() if track.held or not self._is_quiet(track, now)
        }
        told = _in_order(ripe)
        for track in ripe:
            track.told_at, track.held = now, None
        return told

    def rest(self) -> list[RepeatedEvent]:
        """Return everything still held, at the end."""
        held = _in_order(self._tracks.values())
        self._tracks.clear()
        return held

    def _is_quiet(self, track: _Track, now: Seconds) -> bool:
        return now - track.told_at >= self._period_s


def _in_order(tracks: Iterable[_Track]) -> list[RepeatedEvent]:
    return [track.held for track in sorted(tracks, key=lambda track: track.number) if track.held is not None]
