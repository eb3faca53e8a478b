"""What a model file says of its policy, beside the parameters: enough for `murmur eval` to build it again."""

import itertools
from collections.abc import Mapping

from peer.config.schema import Config
from peer.native import PpoSettings


def describe_policy(config: Config) -> dict[str, str]:
    """Return the environment, and all settings that decide which action the parameters lead to."""
    return {
        "env": config.env.name,
        "hidden": ",".join(str(size) for size in config.model.hidden),
        "activation": config.model.activation,
        "shared_trunk": str(config.model.shared_trunk).lower(),
        "normalize_observations": str(config.ppo.normalize_observations).lower(),
        "observation_clip": repr(config.ppo.observation_clip),
    }


def described_settings(description: Mapping[str, str]) -> PpoSettings:
    """Return the learner's settings that a file describes, the others by default.

    Raises: KeyError when it says too little, ValueError when it makes no sense.
    """
    return PpoSettings(
        hidden=tuple(int(size) for size in description["hidden"].split(",")),
        activation=description["activation"],
        # Files of earlier versions do not say these; they ran with the defaults.
        shared_trunk=description.get("shared_trunk", "false") == "true",
        observation_clip=float(description.get("observation_clip", "10.0")),
        normalize_observations=description["normalize_observations"] == "true",
    )


def check_size(hidden: tuple[int, ...], num_params: int) -> None:
    """Refuse a network that cannot be what the file holds: to draw its first weights would take hours.

    Raises: ValueError.
    """
    least = sum(inputs * outputs for inputs, outputs in itertools.pairwise(hidden))
    if least > num_params:
        raise ValueError(
            f"hidden layers of {hidden} units have {least} weights, the file holds {num_params} parameters"
        )
