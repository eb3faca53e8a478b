"""When one chain is outnumbered by another (docs/adr/0071)."""

import pytest

from peer.rounds.merging import is_outnumbered


@pytest.mark.parametrize(
    ("few", "many", "outnumbered"),
    [(0, 0, False), (0, 1, True), (1, 1, False), (1, 2, True), (2, 3, False), (2, 4, True), (3, 5, False)],
)
def test_only_twice_as_many_outnumber(few: int, many: int, *, outnumbered: bool) -> None:
    assert is_outnumbered(few, many) == outnumbered
