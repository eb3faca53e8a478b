"""The comment of a key in configs/config.yaml tells the range that the schema allows."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import pytest
from pydantic.fields import FieldInfo

from peer.config.describe import annotation_at
from peer.config.schema import Config
from peer.config.sources import dotted_keys
from tests.unit.config.config_files import REPOSITORY

_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "PiB": 2**50}
_NUMBER = re.compile(
    r"(?<![\w.^])(?P<number>-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e-?\d+)?)"
    r"(?:\^(?P<power>\d+))?(?P<less_one>-1)?(?: (?P<unit>[KMGP]iB))?(?![\w^])"
)


def numbers(text: str) -> set[float]:
    """Return the numbers in a comment: 64, -10, 16,777,216, 1e-8, 10^15, 2^63-1, 1 MiB."""
    found = set()
    for match in _NUMBER.finditer(text):
        number = match["number"].replace(",", "")
        value = int(number) ** int(match["power"]) if match["power"] else float(number)
        found.add(float((value - bool(match["less_one"])) * _UNITS.get(match["unit"], 1)))
    return found


def bounds(annotation: Any, constraints: Iterable[object]) -> Iterator[float]:
    """Yield the bounds of the numbers that an annotation of the schema allows."""
    for item in constraints:
        if isinstance(item, FieldInfo):
            yield from bounds(None, item.metadata)
        for name in ("ge", "gt", "le", "lt"):
            if (bound := getattr(item, name, None)) is not None:
                yield float(bound)
    for part in (*get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from bounds(part, [part])


def comments() -> Iterator[tuple[str, str]]:
    """Yield each key with its comment, and with what is said of all of its section."""
    section = of_section = comment = ""
    for line in (REPOSITORY / "configs" / "config.yaml").read_text().splitlines():
        if match := re.match(r"([a-z]+):", line):
            section, of_section, comment = match[1], comment, ""
        elif match := re.match(r"  ([a-z]\w*):", line):
            yield f"{section}.{match[1]}", of_section + comment
            comment = ""
        elif line.lstrip().startswith("#"):
            comment += line.lstrip(" #") + " "
        elif not line.startswith("  "):
            comment = ""


def test_numbers_are_read_as_they_are_written() -> None:
    text = "0 to 2^63-1, 10^15 or 16,777,216; -10 to 5, 1e-8, 1.2e-38, 1 MiB, no. 3; int8, 0.05."
    assert numbers(text) == {0, 2.0**63, 10**15, 16_777_216, -10, 5, 1e-8, 1.2e-38, 2**20, 3, 0.05}


@pytest.mark.parametrize(("key", "comment"), list(comments()), ids=[key for key, _ in comments()])
def test_comment_holds_both_bounds_of_a_number(key: str, comment: str) -> None:
    found = annotation_at(Config, tuple(key.split(".")))
    assert found is not None
    told = numbers(comment)
    for bound in set(bounds(*found)):
        assert any(value == pytest.approx(bound, rel=0.03) for value in told), f"{bound} is not among {sorted(told)}"


def test_every_key_has_a_comment_here() -> None:
    assert tuple(key for key, _ in comments()) == dotted_keys()
