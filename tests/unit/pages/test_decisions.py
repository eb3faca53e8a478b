"""docs/adr: every decision says what became of it, those that change each other say so on both sides, and all are
listed."""

import re
from pathlib import Path

import pytest

DECISIONS = sorted((Path(__file__).resolve().parents[3] / "docs/adr").glob("[0-9]*.md"))
INDEX = DECISIONS[0].with_name("README.md")


def title(page: Path) -> str:
    return page.read_text(encoding="utf-8").splitlines()[0]


def status(page: Path) -> str:
    paragraphs = page.read_text(encoding="utf-8").split("\n\n")
    return paragraphs[1] if paragraphs[1].startswith("**Status:** ") else ""


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name[:4])
def test_decision_has_its_number_and_a_status(page: Path) -> None:
    assert re.match(rf"# {page.name[:4]}: ", title(page))
    assert re.match(r"\*\*Status:\*\* (accepted|replaced|rejected)\b", status(page))


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name[:4])
def test_status_names_whoever_names_this_decision_in_its_own(page: Path) -> None:
    others = {other.name for other in DECISIONS if f"({page.name})" in status(other)}
    assert others == {other.name for other in DECISIONS if f"({other.name})" in status(page)}


def test_index_lists_every_decision_once_with_its_title() -> None:
    listed = re.findall(r"^- \[(\d{4})\]\((\S+)\): (.+)$", INDEX.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == [(page.name[:4], page.name, title(page)[8:]) for page in DECISIONS]
