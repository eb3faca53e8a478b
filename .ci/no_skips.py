"""Fail when a test of a pytest report was skipped, or none ran: on CI everything that a test needs is there.

Usage: no_skips.py REPORT.xml
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(path: Path) -> int:
    """Print the skipped tests with their reasons; return the exit code."""
    if not path.is_file():
        sys.stdout.write(f"{path}: no such report, so no test ran\n")
        return 1
    cases = list(ElementTree.parse(path).getroot().iter("testcase"))
    skipped = [(case, skip) for case in cases if (skip := case.find("skipped")) is not None]
    for case, skip in skipped:
        sys.stdout.write(f"skipped: {case.get('classname')}.{case.get('name')}: {skip.get('message')}\n")
    sys.stdout.write(f"{path}: {len(cases)} tests, {len(skipped)} skipped\n")
    return 1 if skipped or not cases else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
