"""How much one peer, or one host, may have us do: token buckets, and when a flooder is shown the door.

Pure: the clock is an argument. What is above the rate is refused and counted; who goes on all the same is banned for
a while. An honest peer may be a little above, because it forwards what a flooder sent it, so refusals are forgiven at
a tenth of the rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from peer.types import Seconds

MAX_SENDERS = 1024
"""Senders remembered; beyond it the one that was longest idle is forgotten, unless it is banned."""

FORGIVENESS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """per_s: tokens that come back each second. burst: tokens at most, and so what may come at once."""

    per_s: float
    burst: float


class TokenBucket:
    """Full at first."""

    __slots__ = ("_at", "_rate", "_tokens")

    def __init__(self, rate: Rate, *, now: Seconds) -> None:
        self._rate = rate
        self._tokens = rate.burst
        self._at = now

    def take(self, amount: float, now: Seconds) -> bool:
        """Take `amount` if it is there. A clock that goes back brings nothing."""
        self._tokens = min(self._rate.burst, self._tokens + max(0.0, now - self._at) * self._rate.per_s)
        self._at = max(self._at, now)
        if amount > self._tokens:
            return False
        self._tokens -= amount
        return True


class _Sender:
    __slots__ = ("banned_until", "buckets", "patience", "why")

    def __init__(self, rates: Mapping[str, Rate], *, now: Seconds) -> None:
        self.buckets = {what: TokenBucket(rate, now=now) for what, rate in rates.items()}
        self.patience = {
            what: TokenBucket(Rate(per_s=rate.per_s * FORGIVENESS, burst=rate.burst), now=now)
            for what, rate in rates.items()
        }
        self.banned_until: Seconds | None = None
        self.why = ""


class FloodGate:
    """Judges senders by name. rates: what is limited ("messages", "bytes"), and how."""

    def __init__(self, rates: Mapping[str, Rate], *, ban_s: Seconds) -> None:
        self._rates = rates
        self._ban_s = ban_s
        self._senders: dict[str, _Sender] = {}
        self.refused = 0
        """Refusals since the start, those of banned senders included."""
        self.bans = 0

    def __len__(self) -> int:
        return len(self._senders)

    def admits(self, sender: str, what: str, now: Seconds, *, amount: float = 1.0) -> bool:
        """Return whether to do what `sender` wants; ask `banned` afterwards whether it is to go."""
        judged = self._judged(sender, now)
        if self._is_banned(judged, now):
            self.refused += 1
            return False
        if judged.buckets[what].take(amount, now):
            return True
        self.refused += 1
        if not judged.patience[what].take(amount, now):
            judged.banned_until = now + self._ban_s
            judged.why = f"sent more than {self._rates[what].per_s:g} {what} a second, and went on"
            self.bans += 1
        return False

    def banned(self, sender: str, now: Seconds) -> str | None:
        """Return why a sender is banned now, None when it is not."""
        judged = self._senders.get(sender)
        return judged.why if judged is not None and self._is_banned(judged, now) else None

    def _is_banned(self, judged: _Sender, now: Seconds) -> bool:
        return judged.banned_until is not None and now < judged.banned_until

    def _judged(self, sender: str, now: Seconds) -> _Sender:
        judged = self._senders.pop(sender, None)
        if judged is None or (judged.banned_until is not None and now >= judged.banned_until):
            judged = _Sender(self._rates, now=now)  # after a ban with a clean slate
        self._senders[sender] = judged
        if len(self._senders) > MAX_SENDERS:
            idle = (name for name, other in self._senders.items() if not self._is_banned(other, now))
            del self._senders[next(idle, next(iter(self._senders)))]
        return judged
