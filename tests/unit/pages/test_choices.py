"""Whatever can be chosen by name is explained where users look for it."""

import pytest

from peer.aggregation.registry import RULES
from peer.codec.registry import CODECS
from peer.simulation.attacks.registry import ATTACKS
from tests.unit.pages.pages import ROOT, text


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("docs/user-guide.md", RULES),
        ("docs/simulation.md", ATTACKS),
        ("docs/protocol.md", {codec.removesuffix("+zstd") for codec in CODECS}),
    ],
    ids=["rules", "liars", "codecs"],
)
def test_every_name_is_in_the_page(page: str, names: list[str]) -> None:
    assert {name for name in names if f"`{name}`" not in text(ROOT / page)} == set()
