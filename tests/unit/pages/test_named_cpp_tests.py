"""Every C++ test that the documentation names is there."""

import re
from pathlib import Path

import pytest

from tests.unit.pages.pages import PAGES, ROOT, name, text

TESTS = {
    ".".join(found)
    for file in (ROOT / "tests/cpp").glob("*.cpp")
    for found in re.findall(r"\bTEST(?:_F|_P)?\((\w+), (\w+)\)", text(file))
}
NAMED = re.compile(r"`([A-Z]\w+\.)(?:\*|([A-Z]\w+)(\.\.\.)?)`")
"""`Suite.Name`, `Suite.Beginning...` or `Suite.*`."""


def test_tests_are_found() -> None:
    assert len(TESTS) > 150
    assert sum(len(NAMED.findall(text(page))) for page in PAGES) > 30


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_cpp_test_that_is_named_is_there(page: Path) -> None:
    for suite, test, is_cut in NAMED.findall(text(page)):
        wanted = suite + test
        assert any(each.startswith(wanted) if is_cut or not test else each == wanted for each in TESTS), wanted
