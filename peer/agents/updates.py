"""The figures by which PPO's updates are judged, over all updates of a stretch of training."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from peer.types import UpdateFigures, UpdateStats

_OF_THE_LAST = ("explained_variance", "learning_rate")


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

    def add(self, figures: UpdateFigures, *, env_steps: int) -> None:
        """figures: of one chunk of so many env steps."""
        self._env_steps += env_steps
        for name in self._sums:
            value: float = getattr(figures, name)
            self._sums[name] = value if name in _OF_THE_LAST else self._sums[name] + env_steps * value

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
