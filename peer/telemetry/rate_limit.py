"""Tell the first of many equal events at once, and later only how many there were."""

from dataclasses import dataclass, replace

from peer.telemetry.event import RepeatedEvent
from peer.types import Seconds

MAX_KEYS = 256

Key = tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Track:
    told_at: Seconds
    held: RepeatedEvent | None


class RateLimit:
    """Pure: `now` is any monotonic clock. Beyond MAX_KEYS different keys, strangers share one key a type, so
    that an attacker with many names fills neither memory nor log."""

    def __init__(self, *, period_s: Seconds) -> None:
        self._period_s = period_s
        self._tracks: dict[Key, _Track] = {}

    def admit(self, event: RepeatedEvent, *, now: Seconds) -> RepeatedEvent | None:
        """Return the event to tell now, with the count of those held back before it, or None to hold it."""
        key = (type(event).__name__, *event.repeat_key())
        if key not in self._tracks and len(self._tracks) >= MAX_KEYS:
            key = (type(event).__name__,)
        track = self._tracks.get(key)
        if track is None:
            self._tracks[key] = _Track(told_at=now, held=None)
            return event
        total = replace(event, count=event.count + (track.held.count if track.held else 0))
        if now - track.told_at < self._period_s:
            track.held = total
            return None
        track.told_at, track.held = now, None
        return total

    def due(self, *, now: Seconds) -> list[RepeatedEvent]:
        """Return held events whose time has come, and forget keys that were quiet for a whole period."""
        ripe: list[RepeatedEvent] = []
        for key, track in list(self._tracks.items()):
            if now - track.told_at < self._period_s:
                continue
            if track.held is None:
                del self._tracks[key]
            else:
                ripe.append(track.held)
                track.told_at, track.held = now, None
        return ripe

    def rest(self) -> list[RepeatedEvent]:
        """Return everything still held, at the end."""
        held = [track.held for track in self._tracks.values() if track.held is not None]
        self._tracks.clear()
        return held
