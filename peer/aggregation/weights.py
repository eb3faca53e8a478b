"""How much a delta counts: by the env steps it stands for, within reason.

A count of env steps is a claim that nobody can check. Capping it at twice the median of the round bounds what a lie
buys, and a fast machine still counts more than a slow one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from peer.types import Contribution

CAP_IN_MEDIANS = 2


def capped(contributions: Sequence[Contribution]) -> list[Contribution]:
    """Weigh by env steps, at most twice their median (the mean of the two middle ones of an even number)."""
    cap = cap_of([contribution.weight for contribution in contributions])
    return [replace(contribution, weight=min(contribution.weight, cap)) for contribution in contributions]


def cap_of(claims: Sequence[int]) -> int:
    """Return what of `claims`, at least one, is counted at most."""
    ordered = sorted(claims)
    middle = ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]  # twice the median, as an integer
    return CAP_IN_MEDIANS * middle // 2


def env_steps(contributions: Sequence[Contribution]) -> list[Contribution]:
    """Weigh by env steps as claimed."""
    return list(contributions)


def equal(contributions: Sequence[Contribution]) -> list[Contribution]:
    """Weigh all alike."""
    return [replace(contribution, weight=1) for contribution in contributions]


Weigh = Callable[[Sequence[Contribution]], list[Contribution]]

WEIGHTS: dict[str, Weigh] = {
    "capped": capped,
    "env-steps": env_steps,
    "equal": equal,
}
"""Ways to weigh by the name that the config uses."""

GROUP_WEIGHTS: dict[str, Weigh] = WEIGHTS | {"equal": capped}
"""The same for groups, whose weights are sums over their members: alike there, groups still differ in size."""
