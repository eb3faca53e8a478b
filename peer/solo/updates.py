"""The figures by which PPO's updates are judged, over all updates between two evaluations."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from peer.native import PpoTrainStats

_OF_THE_LAST = ("explained_variance", "learning_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStats:
    """Means over the updates; explained_variance and learning_rate: of the last. NaN where there was none.

    entropy, approx_kl: nats. value_loss: half the squared error, in units of the (normalised) return.
    """

    policy_loss: float = math.nan
    value_loss: float = math.nan
    entropy: float = math.nan
    approx_kl: float = math.nan
    clip_fraction: float = math.nan
    explained_variance: float = math.nan
    learning_rate: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class GatheredUpdates:
    """What `UpdateMeans` holds. sums: by the names of `UpdateStats`."""

    env_steps: int = 0
    sums: Mapping[str, float] = field(default_factory=dict)


class UpdateMeans:
    """Gathers the figures of chunks, each by its env steps: updates are of equally many."""

    def __init__(self, gathered: GatheredUpdates | None = None) -> None:
        """gathered: what to go on from; None: nothing."""
        self._clear()
        if gathered is not None:
            self._env_steps = gathered.env_steps
            self._sums |= gathered.sums

    @property
    def gathered(self) -> GatheredUpdates:
        return GatheredUpdates(env_steps=self._env_steps, sums=dict(self._sums))

    def add(self, stats: PpoTrainStats) -> None:
        self._env_steps += stats.env_steps
        for name in self._sums:
            value: float = getattr(stats, name)
            self._sums[name] = value if name in _OF_THE_LAST else self._sums[name] + stats.env_steps * value

    def take(self) -> UpdateStats:
        """Return what was gathered since the last call."""
        if not self._env_steps:
            return UpdateStats()
        env_steps, sums = self._env_steps, self._sums
        self._clear()
        return UpdateStats(
            **{name: value if name in _OF_THE_LAST else value / env_steps for name, value in sums.items()}
        )

    def _clear(self) -> None:
        self._env_steps = 0
        self._sums = {field.name: 0.0 for field in fields(UpdateStats)}
