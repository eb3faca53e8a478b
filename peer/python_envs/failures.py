"""What went wrong in somebody else's code, in a line."""

import sysconfig
import traceback
from pathlib import Path

import gymnasium

from peer.errors import EnvFailedError
from peer.python_envs.stopping import require_no_interrupt_of_ours, require_not_stopped_by_now

_NOT_THEIRS = (*(str(Path(file).parent) for file in (__file__, gymnasium.__file__)), "<frozen")
"""Where Gymnasium's code is, and ours: whoever reads wants the line of their own."""

_OF_PYTHON = sysconfig.get_path("stdlib")
"""Likewise Python's own; packages may be installed below it."""

_MAX_MESSAGE = 1000
"""Characters; some name all of an array."""

FAILURES = (Exception, SystemExit, KeyboardInterrupt)
"""What environments fail with. A script that is imported, and reads our command line, exits: that fails as well. The
last may be the user's: see `stopping.require_no_interrupt_of_ours`."""


def told(error: BaseException) -> str:
    """Return kind and message of an error, and the place in the code of whoever wrote the environment, if any."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not _is_others(frame.filename)]
    place = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    return f"{type(error).__name__}: {_message(error)}{place}"


def failed(name: str, call: str, error: BaseException) -> EnvFailedError:
    """Return what to raise when `call` of environment `name` ended with `error`.

    Raises: EnvStoppedError, KeyboardInterrupt when it was no failure.
    """
    require_no_interrupt_of_ours(error)
    require_not_stopped_by_now()
    return EnvFailedError(f"{name} failed in {call}: {told(error)}")


def _message(error: BaseException) -> str:
    """Return what an error says, in a line: its own code may fail, and write as many lines as it likes."""
    try:
        said = " ".join(str(error).split())
    except FAILURES:
        return "(it cannot say what)"
    return said if len(said) <= _MAX_MESSAGE else f"{said[:_MAX_MESSAGE]}..."


def _is_others(file: str) -> bool:
    return file.startswith(_NOT_THEIRS) or (file.startswith(_OF_PYTHON) and "-packages" not in file)
