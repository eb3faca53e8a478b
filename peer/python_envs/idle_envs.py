"""Environments that nobody uses now: to make them anew for each evaluation may take longer than their episodes."""

import threading
from collections.abc import Hashable
from typing import Any  # Any: an environment, or many that step together

from peer.python_envs.open_envs import close


class IdleEnvs:
    """Kept by what they were made with, `most` of them, for several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle: list[tuple[Hashable, Any]] = []
        self._choosing = threading.Lock()

    def take(self, key: Hashable) -> Any:
        """Return one, which must be reset first, or None where there is none."""
        with self._choosing:
            for index, (idle, env) in enumerate(self._idle):
                if idle == key:
                    del self._idle[index]
                    return env
        return None

    def give_back(self, key: Hashable, env: Any) -> None:
        """Keep `env` for who asks next; close the one that was longest of no use."""
        with self._choosing:
            self._idle.append((key, env))
            longest = self._idle.pop(0)[1] if len(self._idle) > self._most else None
        if longest is not None:
            close(longest)

    def clear(self) -> None:
        """Forget them."""
        with self._choosing:
            self._idle.clear()
