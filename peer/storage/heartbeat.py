"""A file whose age tells a health check whether the peer's event loop still turns."""

import os
from pathlib import Path

from peer.storage_failures import storage_errors


class Heartbeat:
    """`slot-N/heartbeat`; its modification time is the time of the last beat."""

    def __init__(self, slot: Path) -> None:
        self.path = slot / "heartbeat"

    def beat(self) -> None:
        """Touch the file, creating it if missing. Needs no free space once it exists. Raises: StorageError."""
        with storage_errors("touch", self.path):
            self.path.touch()
            os.utime(self.path)
