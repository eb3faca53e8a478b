"""How much one peer, or one host, may have us do: token buckets, and when a flooder is shown the door.

Pure: the clock is an argument. A `Throttle` refuses what is above the rate, for as long as it is, and nothing else. A
`Doorkeeper` bans for a while who goes on all the same, and lets it begin anew afterwards. An honest peer may be a
little above, because it forwards what a flooder sent it, so a doorkeeper forgives refusals at a tenth of the rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from peer.types import Seconds

MAX_SENDERS = 1024
"""Senders remembered, and bans; beyond it the one that was longest idle is forgotten, and the oldest ban."""

FORGIVENESS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """How fast a token bucket fills, and how far.

    per_s: tokens that come back each second. burst: tokens at most, and so what may come at once.
    """

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


class Throttle:
    """Judges senders by name. rates: what is limited ("messages", "bytes"), and how."""

    def __init__(self, rates: Mapping[str, Rate]) -> None:
        self._rates = rates
        self._senders: dict[str, dict[str, TokenBucket]] = {}

    def __len__(self) -> int:
        return len(self._senders)

    def admits(self, sender: str, what: str, now: Seconds, *, amount: float = 1.0) -> bool:
        """Return whether to do what `sender` wants."""
        return self._buckets(sender, now)[what].take(amount, now)

    def forget(self, sender: str) -> None:
        """Judge `sender` anew from now on."""
        self._senders.pop(sender, None)

    def _buckets(self, sender: str, now: Seconds) -> dict[str, TokenBucket]:
        buckets = self._senders.pop(sender, None)
        if buckets is None:
            buckets = {what: TokenBucket(rate, now=now) for what, rate in self._rates.items()}
        self._senders[sender] = buckets
        if len(self._senders) > MAX_SENDERS:
            del self._senders[next(iter(self._senders))]
        return buckets


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ban:
    until: Seconds
    why: str


class Doorkeeper:
    """A throttle that loses patience. rates: as of a `Throttle`. ban_s: how long a ban lasts."""

    def __init__(self, rates: Mapping[str, Rate], *, ban_s: Seconds) -> None:
        self._rates = rates
        self._ban_s = ban_s
        self._throttle = Throttle(rates)
        self._patience = Throttle(
            {what: Rate(per_s=rate.per_s * FORGIVENESS, burst=rate.burst) for what, rate in rates.items()}
        )
        self._bans: dict[str, _Ban] = {}
        self.refused = 0
        """Refusals since the start, those of banned senders included."""
        self.bans = 0

    def __len__(self) -> int:
        return max(len(self._throttle), len(self._patience), len(self._bans))

    def admits(self, sender: str, what: str, now: Seconds, *, amount: float = 1.0) -> bool:
        """Return whether to do what `sender` wants; ask `banned` afterwards whether it is to go."""
        if self.banned(sender, now) is None and self._throttle.admits(sender, what, now, amount=amount):
            return True
        self.refused += 1
        if self.banned(sender, now) is None and not self._patience.admits(sender, what, now, amount=amount):
            self._ban(sender, what, now)
        return False

    def banned(self, sender: str, now: Seconds) -> str | None:
        """Return why a sender is banned now, None when it is not."""
        ban = self._bans.get(sender)
        if ban is None:
            return None
        if now < ban.until:
            return ban.why
        del self._bans[sender]
        return None

    def _ban(self, sender: str, what: str, now: Seconds) -> None:
        why = f"sent more than {self._rates[what].per_s:g} {what} a second, and went on"
        self._bans[sender] = _Ban(until=now + self._ban_s, why=why)
        self.bans += 1
        if len(self._bans) > MAX_SENDERS:
            del self._bans[next(iter(self._bans))]
        self._throttle.forget(sender)
        self._patience.forget(sender)
