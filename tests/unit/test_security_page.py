"""SECURITY.md promises nothing that no test shows."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def promises() -> list[str]:
    """Return the rows of the table of threats."""
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    section = page.split("## What this version protects against")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]  # without the heading


def test_the_table_is_found() -> None:
    assert len(promises()) >= 20


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise.split("|")[1].strip()[:50])
def test_every_promise_names_tests_that_exist(promise: str) -> None:
    named = NAMED.findall(promise)
    assert named, "no test is named"
    for file, test in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert f"def {test or 'test_'}" in source, f"{file} has no {test or 'test'}"
