"""What a variant may set in an environment that is written in Python: the numbers that its constructor takes."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any  # Any: whatever an environment takes

from gymnasium.envs.registration import EnvSpec, load_env_creator, make, make_vec

_LARGEST_WHOLE = 2**53
"""Of those that a double holds exactly, as all numbers of the configuration are."""

_LARGEST = 1.7976931348623157e308

_OF_GYMNASIUM = frozenset(inspect.signature(make).parameters) | frozenset(inspect.signature(make_vec).parameters)
"""Arguments that `gymnasium.make` and `make_vec` keep to themselves: nobody else says what the constructor sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A keyword argument whose default is a number or a switch; its values are of the same kind."""

    name: str
    default: bool | int | float

    @property
    def low(self) -> float:
        return 0.0 if isinstance(self.default, bool) else min(-self._usual_bound, float(self.default))

    @property
    def high(self) -> float:
        return 1.0 if isinstance(self.default, bool) else max(self._usual_bound, float(self.default))

    @property
    def _usual_bound(self) -> float:
        """What the default may lie beyond, as "no limit" does."""
        return float(_LARGEST_WHOLE) if isinstance(self.default, int) else _LARGEST

    @property
    def is_whole(self) -> bool:
        return not isinstance(self.default, float)

    @property
    def meaning(self) -> str:
        kind = "switch, 0 or 1" if isinstance(self.default, bool) else f"a number as {self.default!r}"
        return f"keyword argument of the environment's constructor: {kind}"

    def value(self, number: float) -> bool | int | float:
        """Return `number` as the constructor wants it. Raises: ValueError when a whole one is wanted."""
        if not self.is_whole:
            return number
        if number != int(number):
            raise ValueError(f"parameter {self.name!r} must be a whole number, got {number}")
        return bool(number) if isinstance(self.default, bool) else int(number)


def parameters_of(spec: EnvSpec, *, together: bool) -> tuple[Parameter, ...]:
    """Return them in the constructor's order. What is registered for the environment goes before its own default.

    together: of the constructor that makes many at once.
    """
    given = dict(_numbers(spec.kwargs))
    own = dict(_numbers(_defaults(_creator(spec.vector_entry_point if together else spec.entry_point))))
    return tuple(Parameter(name=name, default=default) for name, default in {**own, **given}.items())


def _creator(entry: Callable[..., Any] | str | None) -> Callable[..., Any]:
    assert entry is not None  # one was made by it
    return load_env_creator(entry) if isinstance(entry, str) else entry


def _defaults(creator: Callable[..., Any]) -> Mapping[str, object]:
    try:
        signature = inspect.signature(creator)
    except (TypeError, ValueError):  # written in C, without one
        return {}
    return {name: parameter.default for name, parameter in signature.parameters.items()}


def _numbers(values: Mapping[str, object]) -> Iterator[tuple[str, bool | int | float]]:
    for name, value in values.items():
        if name not in _OF_GYMNASIUM and isinstance(value, (bool, int, float)) and _is_number(value):
            yield name, value


def _is_number(value: float) -> bool:
    """Say whether the core can hold `value`, and tell it from others."""
    return abs(value) <= _LARGEST or value in (math.inf, -math.inf)
