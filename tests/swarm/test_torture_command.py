"""A torture that is ended early tells of the lives that are over, whoever ends it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_torture_that_is_told_to_stop_reports_what_is_over(tmp_path: Path, number: signal.Signals) -> None:
    over, file = tmp_path / "over", tmp_path / "report.txt"
    program = f"""
import multiprocessing.pool, pathlib, sys, time
import tests.swarm.torture as torture
live = torture.judge
def judge(seed, **named):
    if seed:
        time.sleep(600.0)
    return live(seed, **named)
judge.__module__, torture.judge = torture.__name__, judge
class Pool(multiprocessing.pool.Pool):
    def imap_unordered(self, *arguments):
        for verdict in super().imap_unordered(*arguments):
            yield verdict
            pathlib.Path({str(over)!r}).touch()  # the verdict has been noted
multiprocessing.Pool = Pool
sys.exit(torture.main())
"""
    arguments = ["--seeds", "3", "--jobs", "1", "--report", str(file)]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not over.exists():
                assert time.monotonic() < deadline, "the first life is not over"
                time.sleep(0.05)
            process.send_signal(number)
            said, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0
    assert "\n1 lives of " in said
    assert file.read_text() in said
