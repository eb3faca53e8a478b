"""What a run's folder says about itself, so that its chain can be read and checked without the configuration."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from peer.storage.atomic_file import write_atomic

ABOUT_FILE = "about.json"


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
        values = json.loads((folder / ABOUT_FILE).read_bytes())
        return About(peer=str(values["peer"]), name=str(values["name"]), settings=str(values["settings"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # damaged: as good as none, and rewritten at the peer's next start
