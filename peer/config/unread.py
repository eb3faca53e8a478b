"""Settings on a command line that the command does not read: it says so, as nobody types what shall have no effect.

What files and variables say of them is for other commands, and is passed over.
"""

from collections.abc import Mapping, Sequence

from peer.errors import ConfigError


def check_read(overrides: Sequence[str], unread: Mapping[str, str]) -> None:
    """Refuse the overrides whose keys begin as one of `unread`, which says what does instead; the first that fits.

    Nothing said: such keys are read. Raises: ConfigError.
    """
    for text in overrides:
        key = text.partition("=")[0].strip()
        instead = _found(key, unread)
        if instead:
            raise ConfigError(f"command line {text!r} has no effect on this command: {instead}")


def is_read(key: str, unread: Mapping[str, str]) -> bool:
    return not _found(key, unread)


def _found(key: str, unread: Mapping[str, str]) -> str:
    return next((instead for beginning, instead in unread.items() if key.startswith(beginning)), "")
