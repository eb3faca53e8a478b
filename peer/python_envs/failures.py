"""What went wrong in somebody else's code, in a line."""

import importlib
import traceback
from pathlib import Path

import gymnasium

_NOT_THEIRS = (*(str(Path(file).parent) for file in (__file__, gymnasium.__file__, importlib.__file__)), "<frozen")
"""Where Gymnasium's code is, ours, and that which imports: whoever reads wants the line of their own."""


def told(error: Exception) -> str:
    """Return kind and message of an error, and the place in the code of whoever wrote the environment, if any."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_NOT_THEIRS)]
    place = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {error}{place}"
