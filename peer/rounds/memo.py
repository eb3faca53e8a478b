"""A value that is asked for after every message, and computed anew only when what it depends on has changed."""

from collections.abc import Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Memo(Generic[_T]):
    """The value last computed. Whoever asks names all that it depends on, as one key that can be compared."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: tuple[object, _T] | None = None

    def get(self, key: object, compute: Callable[[], _T]) -> _T:
        held = self._held
        if held is None or held[0] != key:
            held = self._held = key, compute()
        return held[1]

    def forget(self) -> None:
        """Have the value computed anew whatever the key."""
        self._held = None
