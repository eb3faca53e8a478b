"""Signals while something is learned: the first saves, a later Ctrl-C ends, and one that was ignored stays so."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from peer.solo.interrupt import Interrupt

BUSY = """
import ctypes
from peer.solo.interrupt import Interrupt
with Interrupt(at_last=lambda: print("saved", flush=True)) as interrupt:
    interrupt.while_doing(lambda: print("ready", flush=True))
    interrupt.while_doing(lambda: ctypes.CDLL(None).sleep(60))  # as the core: it lets others run, and hears no signal
"""


def nothing() -> None:
    pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_is_a_request_and_the_handler_of_before_comes_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupt(at_last=nothing) as interrupt:
        assert not interrupt.requested()
        signal.raise_signal(number)
        assert interrupt.requested()
    assert signal.getsignal(number) is before


def test_second_ctrl_c_ends_the_process_though_the_core_is_busy() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("murmur: stopping, and saving what was learned; Ctrl-C once more ends")
    time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30.0) == 128 + signal.SIGINT
    assert process.stdout.read() == "saved\n"


def test_disk_that_refuses_the_model_at_the_second_ctrl_c_is_named() -> None:
    code = BUSY.replace(
        "from peer.solo",
        "from pathlib import Path\nfrom peer.storage.atomic_file import write_atomic\nfrom peer.solo",
        1,
    )
    code = code.replace('print("saved", flush=True)', 'write_atomic(Path("/nowhere/model"), b"")')
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert "once more" in process.stderr.readline()
    time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30.0) == 128 + signal.SIGINT
    assert process.stderr.read().startswith("murmur: cannot write /nowhere/model: no such file or directory")


def test_second_ctrl_c_leaves_the_cursor_of_the_terminal_visible() -> None:
    master, terminal = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stderr=terminal, text=True)
    os.close(terminal)  # so that reading ends with the process
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert b"once more" in os.read(master, 4096)
    time.sleep(0.6)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30.0)
    assert b"\x1b[?25h" in os.read(master, 4096)


def test_signals_in_a_row_are_one_request() -> None:
    in_a_row = "    for number in (2, 2, 15, 1): os.kill(os.getpid(), number)\n"
    at_once = "import os, time\ntime.monotonic = lambda: 0.0\n"  # however busy the machine
    code = at_once + BUSY.partition("    interrupt")[0] + in_a_row
    subprocess.run([sys.executable, "-c", code], check=True)


def test_hangup_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt(at_last=nothing) as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupt.requested()
    finally:
        signal.signal(signal.SIGHUP, before)
