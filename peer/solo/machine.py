"""Name the machine that a figure was measured on: a figure without it says nothing."""

import os
import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")


def describe_machine() -> str:
    """Return processor, usable cores, load of the last 1, 5 and 15 minutes, and OS in one line."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores, load {load}, {platform.platform()}"


def _processor() -> str:
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:  # no Linux
        return platform.machine()
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())  # Arm's list has no such line
