"""How long the first model takes to be drawn: a small one no time, one of wide layers minutes, and nobody would know.

Its weights are orthogonalised exactly, by scalar work (docs/adr/0007), also where a saved model replaces them next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from peer.native import PpoSettings, env_spec
from peer.telemetry.plain_text import drawing
from peer.types import Seconds

_LONG_S: Seconds = 2.0
"""What a user waits without asking why."""

_S_EACH = 1.5e-9
"""For each component of each vector against each earlier one. Measured: 1.0 to 2.0 ns, the latter with 2048 units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LongDraw:
    """The drawing of a first model of so many weights. about_s: what it takes on one core of today."""

    weights: int
    about_s: Seconds

    def text(self) -> str:
        """Return what is done, as a clause."""
        return drawing(self.weights, self.about_s)


def long_draw(env_name: str, settings: PpoSettings) -> LongDraw | None:
    """Return what making a learner takes, None where that is no time worth a word. Raises: ValueError on the name."""
    shapes = _shapes(env_name, settings)
    about_s = _S_EACH * sum(min(shape) ** 2 * max(shape) for shape in shapes)
    if about_s < _LONG_S:
        return None
    return LongDraw(weights=sum(inputs * outputs for inputs, outputs in shapes), about_s=about_s)


def tell_long_draw(env_name: str, settings: PpoSettings, tell: Callable[[str], None]) -> None:
    """Say before a learner is made that this takes long, if it does. Raises: as `long_draw`."""
    draw = long_draw(env_name, settings)
    if draw is not None:
        tell(f"murmur: {draw.text()}")


def _shapes(env_name: str, settings: PpoSettings) -> list[tuple[int, int]]:
    """Return the inputs and outputs of every layer, of the actor and of the critic."""
    spec = env_spec(env_name)
    trunk = list(pairwise((spec.obs_dim, *settings.hidden)))
    width = settings.hidden[-1] if settings.hidden else spec.obs_dim
    heads = [(width, spec.num_actions if spec.discrete else spec.action_dim), (width, 1)]
    return trunk * (1 if settings.shared_trunk else 2) + heads
