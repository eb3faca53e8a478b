"""Describe the machine a figure was measured on."""

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """Return processor, usable cores, load and OS in one line."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return f"{model}, {len(os.sched_getaffinity(0))} cores, load {load}, {platform.platform()}"
