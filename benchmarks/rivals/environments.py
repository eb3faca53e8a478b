"""One virtual environment for each rival below build/rivals/, made once: torch for the CPU first where it needs that,
then its pins."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / "build" / "rivals"

TORCH = "torch==2.13.0+cpu"
_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
_PUFFERLIB = "pufferlib==3.0.0"
_WITHOUT_TORCH = ("flower",)


class InstallError(Exception):
    """A rival cannot be installed here; the message names the step and the log."""


def prepare(name: str) -> tuple[Path, Path]:
    """Return interpreter and working folder of the rival's environment, installing it first where need be.

    name: of a file in requirements/. Raises: InstallError.
    """
    folder = FOLDER / name
    python = folder / "venv" / "bin" / "python"
    work = folder / "sources" if name == "pufferlib" else folder
    stamp = folder / "stamp"
    wanted = _fingerprint(name)
    if not stamp.exists() or stamp.read_text() != wanted:
        sys.stderr.write(f"installing {name} into {folder.relative_to(ROOT)} ...\n")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _install(name, folder, python)
        stamp.write_text(wanted)
    return python, work


def _fingerprint(name: str) -> str:
    parts = [TORCH.encode(), (HERE / "requirements" / f"{name}.txt").read_bytes()]
    if name == "pufferlib":
        parts += [_PUFFERLIB.encode(), (HERE / "build_pufferlib.py").read_bytes()]
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def _install(name: str, folder: Path, python: Path) -> None:
    log = folder / "install.log"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([sys.executable, "-m", "venv", "--clear", str(folder / "venv")], log=log)
    if name not in _WITHOUT_TORCH:
        try:
            _run([*pip, TORCH], log=log)
        except InstallError:  # the index in use has no CPU builds; the usual place of them has
            _run([*pip, "--index-url", _TORCH_INDEX, TORCH], log=log)
    _run([*pip, "-r", str(HERE / "requirements" / f"{name}.txt")], log=log)
    if name == "pufferlib":
        _build_pufferlib(folder, python, log=log)


def _build_pufferlib(folder: Path, python: Path, *, log: Path) -> None:
    """Fetch and unpack the sources, and build what is needed of them."""
    unpacked = folder / "unpacked"
    unpacked.mkdir()
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    download = [*pip, "download", "--no-deps", "--no-build-isolation", "--no-clean", "--no-binary", "pufferlib"]
    with contextlib.suppress(InstallError):  # pip fetches, checks and unpacks them, but setup.py fails even with
        _run([*download, _PUFFERLIB], log=log, cwd=folder, NO_OCEAN="1", NO_TRAIN="1", TMPDIR=str(unpacked))
    sources = [setup.parent for setup in unpacked.glob("*/pufferlib_*/setup.py")]  # NO_OCEAN, which spares us raylib
    if len(sources) != 1:
        raise InstallError(f"expected the unpacked sources of {_PUFFERLIB} below {unpacked}; see {log}")
    sources[0].rename(folder / "sources")
    shutil.rmtree(unpacked)
    _run([str(python), str(HERE / "build_pufferlib.py"), "build_ext", "--inplace"], log=log, cwd=folder / "sources")


def _run(command: list[str], *, log: Path, cwd: Path = ROOT, **variables: str) -> None:
    with log.open("a") as output:
        output.write(f"\n$ {' '.join(command)}\n")
        output.flush()
        done = subprocess.run(
            command, cwd=cwd, env={**os.environ, **variables}, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0:
        raise InstallError(f"'{' '.join(command)}' failed; see {log}")
