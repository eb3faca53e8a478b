"""The guide names every file and folder that a peer or a learner writes."""

import re

from tests.unit.pages.pages import ROOT, text

CONSTANT = re.compile(r'^[A-Z_]*(?:FILE|FOLDER)(?:_NAME)? = "([^"]+)"', flags=re.MULTILINE)


def test_every_file_that_is_written_is_named() -> None:
    names = {name for file in (ROOT / "peer").rglob("*.py") for name in CONSTANT.findall(text(file))}
    assert len(names) > 8
    guide = text(ROOT / "docs/user-guide.md")
    assert {name for name in names if not re.search(rf"[`/]{re.escape(name)}[`/]", guide)} == set()
