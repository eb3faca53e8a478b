"""What peers called themselves when they were met, kept for whoever reads the chain later; for display alone."""

import json
from collections.abc import Mapping
from pathlib import Path

from peer.bounded_file import open_at_once
from peer.storage.atomic_file import write_atomic
from peer.types import PeerId

NAMES_FILE = "names.json"
MAX_KEPT = 1024
"""Of those met last."""
_MAX_BYTES = 256 * MAX_KEPT


def save_names(folder: Path, names: Mapping[PeerId, str]) -> None:
    """Replace the file. Raises: StorageError."""
    kept = dict(list(names.items())[-MAX_KEPT:])
    write_atomic(folder / NAMES_FILE, json.dumps(kept, indent=1).encode())


def load_names(folder: Path) -> dict[PeerId, str]:
    """Return the names in the order in which they were learnt; none of a file that is missing or damaged."""
    try:
        with open_at_once(folder / NAMES_FILE) as file:
            found = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = found.items() if isinstance(found, dict) else ()
    return {PeerId(peer): name for peer, name in pairs if isinstance(name, str)}
