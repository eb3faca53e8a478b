"""What TensorBoard shows of a peer's rounds, made of the events of its log. Pure: events go in, points come out."""

from collections.abc import Mapping

from peer.telemetry.event import Event
from peer.telemetry.event_files import Point
from peer.telemetry.round_events import RoundSealed, RoundTrained, TasksTrained
from peer.telemetry.scalar_tags import (
    EP_LEN_MEAN,
    EP_REW_MEAN,
    FPS,
    STD,
    VARIANTS,
    LossWeights,
    TagMeans,
    update_scalars,
)

_ROUNDS_AT_FULL_DETAIL = 1000
"""From then on a point for each 1/1000 more of rounds: TensorBoard shows a thousand of a curve, and a year of rounds of
2 s has ten thousand."""


class RoundScalars:
    """Gathers the figures of the rounds between two points; a point has their means, of the number of rounds the last.

    The x axis is the run's env steps, of all peers together.
    """

    def __init__(self, weights: LossWeights) -> None:
        self._weights = weights
        self._means = TagMeans()
        self._last: RoundSealed | None = None
        self._due = 0

    def observe(self, event: Event) -> None:
        """Take what an event says of this peer's own training."""
        if isinstance(event, RoundTrained):
            self._trained(event)
        elif isinstance(event, TasksTrained):
            for task, episodes, mean_return in zip(event.tasks, event.episodes, event.mean_returns, strict=True):
                self._means.add(VARIANTS + task, mean_return, weight=episodes)

    def seal(self, sealed: RoundSealed, more: Mapping[str, float]) -> Point | None:
        """Return the point that is due with this round. more: what else is known of it, by tag."""
        if self._last is not None and sealed.round <= self._last.round:
            self._due = sealed.round  # another chain, on which this peer may be far behind where it was
        scalars = {
            "swarm/return": sealed.mean_return,
            "swarm/admitted": sealed.admitted,
            "swarm/roster": sealed.roster,
            "swarm/seal_s": sealed.seal_s,
            "network/delta_bytes": sealed.delta_bytes,
            **more,
        }
        for tag, value in scalars.items():
            self._means.add(tag, value)
        self._last = sealed
        if sealed.round < self._due:
            return None
        self._due = sealed.round + max(1, sealed.round // _ROUNDS_AT_FULL_DETAIL)
        return self._point(sealed)

    def rest(self) -> Point | None:
        """Return what was gathered since the last point, at the end; it begins anew should there be more."""
        if self._last is None or not self._means:
            return None
        return self._point(self._last)

    def _point(self, sealed: RoundSealed) -> Point:
        return Point(step=sealed.env_steps, scalars={"swarm/round": sealed.round, **self._means.take()})

    def _trained(self, event: RoundTrained) -> None:
        self._means.add(EP_REW_MEAN, event.mean_return, weight=event.episodes)
        self._means.add(EP_LEN_MEAN, event.mean_length, weight=event.episodes)
        self._means.add("time/waited_s", event.waited_s)
        self._means.add(STD, event.std)
        if event.train_s > 0:
            self._means.add(FPS, event.env_steps / event.train_s, weight=event.train_s)
        for tag, value in update_scalars(event, self._weights).items():
            self._means.add(tag, value, weight=event.env_steps)
