"""A contestant at work: started once, then asked for stretch after stretch, in turn with the others."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from benchmarks.rivals.contestants import Contestant, Rate, Scenario
from benchmarks.rivals.environments import ROOT, prepare

_LAST_WORDS = 600


class ContestantError(Exception):
    """A contestant's program failed; the message holds its last words."""


class Session(Protocol):
    """Something that can be measured again and again. Close it, or leave its `with` block."""

    def measure(self, seconds: float) -> Rate: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_session(contestant: Contestant, scenario: Scenario) -> Session:
    """Start the contestant and let it warm up. Raises: ContestantError, InstallError."""
    options = ["--env", contestant.env_of(scenario), "--setting", scenario.setting, "--threads", str(scenario.threads)]
    options += contestant.arguments
    if not contestant.requirements:
        return OurSession(contestant.name, options)
    python, folder = prepare(contestant.requirements)
    command = [str(python), str(ROOT / "benchmarks" / "rivals" / contestant.program), *options]
    return RivalSession(contestant.name, command, folder=str(folder), threads=scenario.threads)


class OurSession:
    """`murmur bench`, as users have it: a process for each stretch, with a warm-up of its own."""

    def __init__(self, name: str, options: list[str]) -> None:
        self._name = name
        self._command = [sys.executable, "-m", "peer.cli", "bench", "train", "--json", "--repeats", "1"]
        self._command += ["--device", "cpu", *options]

    def measure(self, seconds: float) -> Rate:
        command = [*self._command, "--seconds", str(seconds)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ContestantError(f"{self._name} ended with exit code {done.returncode}: {done.stderr[-_LAST_WORDS:]}")
        result = json.loads(done.stdout)
        return Rate(wall=result["env_steps_per_s"]["median"], cpu=result["env_steps_per_cpu_s"]["median"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class RivalSession:
    """A rival's program, which answers each number of seconds on its stdin by one line of JSON (stretch.py)."""

    def __init__(self, name: str, command: list[str], *, folder: str, threads: int) -> None:
        self._name = name
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed with the session
        count = str(threads)
        variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **variables, "CUDA_VISIBLE_DEVICES": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def measure(self, seconds: float) -> Rate:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        except OSError:  # it has died; reading tells how
            pass
        result = self._read()
        return Rate(wall=float(result["env_steps_per_s"]), cpu=float(result["env_steps_per_cpu_s"]))

    def close(self) -> None:
        """End the program and wait for it."""
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> Mapping[str, Any]:  # Any: what the JSON holds
        """Return the next line that is an object; libraries print lines of their own."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                result: Mapping[str, Any] = json.loads(line)
                return result
        code = self._process.wait()
        self._stderr.seek(0)
        words = self._stderr.read().strip()[-_LAST_WORDS:]
        raise ContestantError(f"{self._name} ended with exit code {code}: {words}")
