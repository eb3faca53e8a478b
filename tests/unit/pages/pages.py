"""The documentation for people, as the tests of this folder read it; they run with the linters, without the core."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
GUIDES = [page for page in PAGES if page.parent.name != "adr" and page.name != "CHANGELOG.md"]
"""Those that speak of today alone: decisions and the changelog also tell of what is gone."""


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code(page: Path) -> list[str]:
    """Return what the page shows in the type of a terminal: each line of its blocks, and each span in its text."""
    parts = text(page).split("```")
    lines = [line for block in parts[1::2] for line in block.splitlines()[1:]]
    return [*lines, *re.findall(r"`([^`\n]+)`", "".join(parts[0::2]))]
