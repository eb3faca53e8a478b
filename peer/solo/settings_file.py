"""The settings of a run beside its model: what it was trained with, and the file that trains it once more."""

import json
from pathlib import Path

from peer.config.schema import Config
from peer.storage.atomic_file import write_atomic

SETTINGS_FILE = "settings.yaml"

_SECTIONS = ("run", "env", "model", "ppo", "compute", "stop")


def save_settings(path: Path, config: Config, arguments: str) -> None:
    """Write what decides what is learned, as YAML. arguments: those of the command line that are no settings.

    Raises: StorageError.
    """
    values = config.model_dump(mode="json")
    lines = [f"# Trained by murmur {' '.join(part for part in ('train', '-c', SETTINGS_FILE, arguments) if part)}"]
    for section in _SECTIONS:
        lines.append(f"{section}:")
        lines += [f"  {key}: {json.dumps(value, ensure_ascii=False)}" for key, value in values[section].items()]
    write_atomic(path, ("\n".join(lines) + "\n").encode())
