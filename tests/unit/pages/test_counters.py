"""The guide explains every counter that `murmur status --json` shows."""

import re

from peer.network.counters import COUNTER_NAMES
from tests.unit.pages.pages import ROOT, text

GUIDE = text(ROOT / "docs/user-guide.md")


def test_every_counter_of_the_network_is_explained() -> None:
    assert {name for name in COUNTER_NAMES if f"`network_{name}`" not in GUIDE} == set()


def test_every_counter_of_the_services_is_explained() -> None:
    sources = "".join(text(file) for file in (ROOT / "peer").rglob("*.py"))
    names = set(re.findall(r'counters\.add\("(\w+)"', sources))
    assert len(names) > 8
    assert {name for name in names if f"`{name}`" not in GUIDE} == set()
