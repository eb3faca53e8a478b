"""libtorch is loaded by those who compute with it, and by nobody else."""

import shutil
import subprocess
import sys
from pathlib import Path

import peer._core

AGENT = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
{load}
from peer.native import PpoSettings, make_ppo_agent

def is_loaded():
    return "libtorch_cpu" in Path("/proc/self/maps").read_text()

def train(backend):
    agent = make_ppo_agent("CartPole-v1", PpoSettings(device="cpu", backend=backend))
    agent.train(1000, 60.0)
    return agent.backend_name
"""

FROM_ELSEWHERE = """
import importlib.machinery, importlib.util
loader = importlib.machinery.ExtensionFileLoader("peer._core", {file!r})
spec = importlib.util.spec_from_file_location("peer._core", {file!r}, loader=loader)
sys.modules["peer._core"] = module = importlib.util.module_from_spec(spec)
loader.exec_module(module)
"""


def _run(script: str, *, load: str = "") -> str:
    """Return what a fresh interpreter prints that runs `script` after AGENT."""
    program = AGENT.format(path=sys.path, load=load) + script
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_libtorch_is_loaded_by_the_first_agent_that_computes_with_it() -> None:
    told = _run('print(train("fused"), is_loaded(), sep=";"); print(train("libtorch"), is_loaded(), sep=";")')
    fused, libtorch = (line.split(";") for line in told.splitlines())
    assert (fused[0].split()[0], fused[1]) == ("fused", "False")
    assert (libtorch[0], libtorch[1]) == ("libtorch on cpu", "True")


def test_back_end_that_cannot_be_loaded_is_named_with_a_way_out(tmp_path: Path) -> None:
    alone = tmp_path / Path(peer._core.__file__).name
    shutil.copy(peer._core.__file__, alone)  # without the library that belongs beside it
    script = """
for backend in ("libtorch", "libtorch", "fused"):
    try:
        print(train(backend))
    except ValueError as error:
        print(error)
"""
    told = _run(script, load=FROM_ELSEWHERE.format(file=str(alone))).splitlines()
    for line in told[:2]:
        assert str(tmp_path / "libmurmur_libtorch.so") in line
        assert "backend 'fused'" in line
    assert told[2].startswith("fused")
