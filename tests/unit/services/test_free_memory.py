"""What is free goes back to the system although it lies between what is in use."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from peer.services.free_memory import return_free_memory

_PIECE = 64 * 1024
_MIB = 1 << 20


def resident_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can return such pages")
def test_holes_between_what_stays_are_returned() -> None:
    pieces = [np.ones(_PIECE, np.uint8) for _ in range(640)]
    kept = pieces[::10]
    full = resident_bytes()
    del pieces
    return_free_memory()
    assert resident_bytes() < full - 25 * _MIB, "36 MiB are free, in holes of nine pieces"
    assert all(piece.sum() == _PIECE for piece in kept)
