"""Every link of the documentation leads somewhere, and every path, decision and target that it names is there."""

import re
from pathlib import Path

import pytest

from tests.unit.pages.pages import GUIDES, PAGES, ROOT, code, name, text

FOLDERS = "benchmarks|bindings|configs|cpp_core|deploy|docker|docs|peer|scripts|tests"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        linked = page.parent / file if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_decision_that_is_named_is_there(page: Path) -> None:
    for number in re.findall(r"(?:adr/|ADR )(\d{4})", text(page)):
        assert list((ROOT / "docs/adr").glob(f"{number}-*.md")), number


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_every_path_that_is_named_is_there(page: Path) -> None:
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", text(page)):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_every_target_of_make_that_is_named_is_there(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = {target for line in code(page) for target in re.findall(r"^make ([a-z-]+)", line)}
    assert named <= set(targets)


def test_every_source_of_a_limit_is_there() -> None:
    named = set(re.findall(r"`((?!test_)[\w/]+\.py)`", text(ROOT / "docs/limits.md")))
    assert len(named) > 30
    for file in named:
        assert any((ROOT / folder / file).exists() for folder in ("peer", "peer/network", ".")), file
