"""The settings of a run beside its model: what it was trained with, and the file that trains it once more."""

import json
from collections.abc import Sequence
from pathlib import Path

from peer.config.schema import Config
from peer.solo.run_state import settings_of
from peer.storage.atomic_file import write_atomic
from peer.telemetry.plain_text import printable

SETTINGS_FILE = "settings.yaml"


def save_settings(path: Path, config: Config, arguments: str, changes: Sequence[str] = ()) -> None:
    """Write what decides what is learned, as YAML. arguments: those of the command line that are no settings.

    changes: what was otherwise before the run went on, in words. Raises: StorageError.
    """
    lines = [f"# Trained by murmur {' '.join(part for part in ('train', '-c', SETTINGS_FILE, arguments) if part)}"]
    lines += [f"# {printable(change)}" for change in changes]
    for section, values in settings_of(config).items():
        lines.append(f"{section}:")
        lines += [f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()]
    write_atomic(path, ("\n".join(lines) + "\n").encode())
