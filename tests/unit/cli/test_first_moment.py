"""Ctrl-C while `murmur` imports what it is made of: sent by the first of these imports itself, so at no chance time."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

_INTERRUPTING = """
import importlib, signal, sys
signal.raise_signal(signal.SIGINT)
sys.path.remove({folder!r})
del sys.modules[__name__]
importlib.import_module(__name__)
"""


@pytest.fixture
def interrupted(tmp_path: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run `murmur --version`, with a `typer` before the real one that interrupts the process which imports it."""
    (tmp_path / "typer.py").write_text(_INTERRUPTING.format(folder=str(tmp_path)))

    def run(*, preexec: Callable[[], object] | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "peer.cli", "--version"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            preexec_fn=preexec,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_interrupt_during_the_imports_ends_without_a_word(
    interrupted: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    done = interrupted()
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_interrupt_that_is_ignored_changes_nothing(
    interrupted: Callable[..., "subprocess.CompletedProcess[str]"],
) -> None:
    done = interrupted(preexec=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("murmuration ")


def test_files_of_ours_do_not_get_the_numbers_of_streams_that_were_closed() -> None:
    program = "import os, sys; from peer.cli import main; sys.argv = ['murmur', '--version']\n" + (
        "try: main()\nexcept SystemExit: os._exit(os.open('/dev/zero', os.O_RDONLY))"
    )
    done = subprocess.run(["sh", "-c", f'{sys.executable} -c "{program}" <&- >&- 2>&-'], timeout=60, check=False)
    assert done.returncode > 2
