"""What the configuration must know of an environment: its name, its parameters and their ranges.

The table is filled by whoever knows the environments (the C++ core's registry); this package only checks.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamRange:
    """One parameter of an environment, in the environment's own unit; both bounds are allowed values."""

    default: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSpec:
    """The parameters that a variant of this environment may change, by name."""

    params: Mapping[str, ParamRange]
