"""The names of the figures that TensorBoard shows: those of Stable-Baselines3 where they mean the same."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from peer.types import UpdateFigures

EP_REW_MEAN, EP_LEN_MEAN = "rollout/ep_rew_mean", "rollout/ep_len_mean"
FPS = "time/fps"
GREEDY = "eval/mean_reward"
STD = "train/std"
VARIANTS = "variants/"
"""Before the name of one, its training return."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """Of the terms of PPO's loss: settings of the same names."""

    entropy_coef: float
    value_coef: float
    kl_penalty: float


class TagMeans:
    """Weighted means by tag. What is no finite number is left out."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[float, float]] = {}

    def add(self, tag: str, value: float, *, weight: float = 1.0) -> None:
        if math.isfinite(value) and weight > 0:
            total, weights = self._sums.get(tag, (0.0, 0.0))
            self._sums[tag] = (total + weight * value, weights + weight)

    def take(self) -> dict[str, float]:
        """Return the means of what was added since the last call."""
        sums, self._sums = self._sums, {}
        return {tag: total / weights for tag, (total, weights) in sums.items()}

    def __bool__(self) -> bool:
        return bool(self._sums)


def update_scalars(figures: UpdateFigures, weights: LossWeights) -> Mapping[str, float]:
    """Return PPO's figures by the names of Stable-Baselines3, whose value loss is the squared error, not half of it."""
    loss = figures.policy_loss - weights.entropy_coef * figures.entropy + weights.value_coef * figures.value_loss
    scalars = {
        "train/loss": loss + weights.kl_penalty * figures.base_kl,
        "train/policy_gradient_loss": figures.policy_loss,
        "train/value_loss": 2.0 * figures.value_loss,
        "train/entropy_loss": -figures.entropy,
        "train/approx_kl": figures.approx_kl,
        "train/clip_fraction": figures.clip_fraction,
        "train/explained_variance": figures.explained_variance,
        "train/learning_rate": figures.learning_rate,
    }
    return scalars if weights.kl_penalty == 0.0 else {**scalars, "train/base_kl": figures.base_kl}


def settings_text(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Return settings as they are typed on a command line, one a line, as Markdown that shows them as they are."""
    lines = (
        f"    {section}.{key}={json.dumps(value, ensure_ascii=False)}"
        for section, values in sections.items()
        for key, value in values.items()
    )
    return "\n".join(lines)
