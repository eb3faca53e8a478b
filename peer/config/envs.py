"""What the configuration must know of an environment: its name, its parameters and their ranges.

The catalogue is made by whoever knows the environments (peer/known_envs.py); this package only checks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamRange:
    """One parameter of an environment, in the environment's own unit; both bounds are allowed values."""

    default: float
    low: float
    high: float
    is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSpec:
    """params: what a variant of this environment may change, by name. max_envs: that run at once; None: any number."""

    params: Mapping[str, ParamRange]
    max_envs: int | None = None


class EnvCatalogue(Protocol):
    """The environments that can be trained in."""

    @property
    def names(self) -> Sequence[str]:
        """Names to choose from; there may be more than can be listed."""

    def find(self, name: str, *, vectorized: bool) -> EnvSpec | None:
        """Return what is known of the environment; None where there is none of the name. vectorized: `env.vectorized`.

        Raises: ValueError saying why the one of that name cannot be used.
        """
