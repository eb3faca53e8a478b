"""SECURITY.md and docs/libp2p.md claim nothing that no test shows; docs/limits.md names no test that is not there."""

import re

import pytest

from tests.unit.pages.pages import ROOT

NAMED = re.compile(r"`((?:tests/[\w/]+/)?test_\w+\.py)(?:::(\w+))?`")

PAGES = {
    "SECURITY.md": ("## What this version protects against", "."),
    "docs/libp2p.md": ("# What is worked around", "tests/unit/network"),
}
"""Above the table of each page, and where its tests are when no folder is named."""


def rows(page: str) -> list[str]:
    """Return the table of claims, without its heading."""
    heading, _ = PAGES[page]
    section = (ROOT / page).read_text(encoding="utf-8").split(heading)[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("page", PAGES)
def test_the_table_is_found(page: str) -> None:
    assert len(rows(page)) >= 20


@pytest.mark.parametrize(
    ("page", "claim"),
    [pytest.param(page, row, id=f"{page}: {row.split('|')[1].strip()[:50]}") for page in PAGES for row in rows(page)],
)
def test_every_claim_names_tests_that_exist(page: str, claim: str) -> None:
    named = NAMED.findall(claim)
    assert named, "no test is named"
    _, folder = PAGES[page]
    for file, test in named:
        source = (ROOT / (file if "/" in file else f"{folder}/{file}")).read_text(encoding="utf-8")
        assert f"def {test}(" in source if test else "def test_" in source, f"{file} has no {test or 'test'}"


def test_limits_name_tests_that_exist() -> None:
    named = {file for file, _ in NAMED.findall((ROOT / "docs/limits.md").read_text(encoding="utf-8"))}
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    lost = {file for file in named if not any(path == file or path.endswith(f"/{file}") for path in there)}
    assert len(named) > 20
    assert not lost
