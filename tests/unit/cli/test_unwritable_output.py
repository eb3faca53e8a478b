"""A standard output that takes nothing is one message and exit code 2; one that nobody reads any more, no failure."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from peer.network.identity import Identity
from peer.network.key_file import write_new_identity


def murmur(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    script = f"set -o pipefail; {sys.executable} -m peer.cli {line}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MURMUR_")}
    return subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    "line",
    [
        "--version",
        "identity show a.key",
        "swarm-key new swarm.key",
        "allow-list new swarm.json --run cartpole",
        "doctor network.port=0",
        "doctor network.port=0 --json",
    ],
)
def test_output_that_cannot_be_written_is_one_message(tmp_path: Path, line: str) -> None:
    write_new_identity(tmp_path / "a.key", Identity.for_tests(1))
    done = murmur(f"{line} >/dev/full", tmp_path)
    assert done.stderr == "murmur: the output cannot be written: No space left on device\n"
    assert done.returncode == 2


@pytest.mark.parametrize(("port", "code"), [("0", 0), ("1", 1)], ids=["well", "ill"])
def test_doctor_tells_by_its_exit_code_what_nobody_reads(tmp_path: Path, port: str, code: int) -> None:
    """192.0.2.1 is no address of any machine, and 0.0.0.0 of all: `| head -1` ended it as if something were wrong."""
    host = "192.0.2.1" if code else "0.0.0.0"
    done = murmur(f"doctor network.port={port} network.listen_host={host} | head -1 >/dev/null", tmp_path)
    assert (done.returncode, done.stderr) == (code, "")
