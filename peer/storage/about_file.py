"""What a run's folder says about itself, so that its chain can be read and checked without the configuration."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from peer.bounded_file import read_bounded
from peer.errors import StorageError
from peer.storage.atomic_file import write_atomic

ABOUT_FILE = "about.json"

_MAX_BYTES = 16 * 1024**2
"""Of a configuration file of a megabyte, whose characters take up to seven in the JSON text in a JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a run's folder says about itself.

    peer, name: whose folder it is.

    settings: the agreed keys of the configuration as canonical JSON (`peer.config.digest.agreed_text`); the folder's
    name and the chain's first link both carry their digest.
    """

    peer: str
    name: str
    settings: str


def write_about(folder: Path, about: About) -> None:
    """Write it unless it stands there already. Raises: StorageError."""
    if read_about(folder) != about:
        write_atomic(folder / ABOUT_FILE, json.dumps(asdict(about), indent=1).encode())


def read_about(folder: Path) -> About | None:
    """Return what the folder says, None when it says nothing that can be read."""
    try:
        values = json.loads(read_bounded(folder / ABOUT_FILE, most_bytes=_MAX_BYTES))
        return About(peer=str(values["peer"]), name=str(values["name"]), settings=str(values["settings"]))
    except FileNotFoundError:
        return None
    except (OSError, StorageError, ValueError, KeyError, TypeError, RecursionError):
        return None  # damaged: as good as none, and rewritten at the peer's next start
