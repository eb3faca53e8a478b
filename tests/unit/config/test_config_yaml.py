"""The YAML that is accepted: core schema of YAML 1.2, nothing that surprises, nothing that explodes."""

import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.config.tree import Leaf, plain
from peer.config.yaml_tree import MAX_DEPTH, parse_scalar, read_yaml
from peer.errors import ConfigError
from tests.unit.config.config_files import load, refusal


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("1E5", 1e5), ("-1.5e+3", -1500.0), (".5", 0.5), ("5.", 5.0), ("1_000_000", 1_000_000),
        ("010", 10), ("0x1F", 31), ("0o17", 15), ("+7", 7), ("-0", 0),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
        (".inf", math.inf), ("-.INF", -math.inf),
        # text in YAML 1.2, something else in YAML 1.1:
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("y", "y"), ("12:30", "12:30"), ("2024-01-01", "2024-01-01"),
        ("1__0", "1__0"), ("_1", "_1"), ("1_", "1_"), ("0b1", "0b1"), ("1e", "1e"), (".", "."), ("e5", "e5"),
        ("inf", "inf"), ("nan", "nan"), ("٣", "٣"), ("<<", "<<"), ("=", "="), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_scalar_follows_yaml_1_2(text: str, value: object) -> None:
    got = parse_scalar(text)
    assert got == value
    assert type(got) is type(value)


def test_nan_is_parsed_and_left_to_the_schema() -> None:
    value = parse_scalar(".nan")
    assert isinstance(value, float)
    assert math.isnan(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_written_by_python_reads_back(value: float) -> None:
    assert parse_scalar(repr(value)) == value


def test_quoted_scalar_is_text() -> None:
    node = read_yaml("'12'", source="s", layer=0)
    assert isinstance(node, Leaf)
    assert node.value == "12"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run:\n  name: a\n  name: b", "a.yaml:3: key 'name' is given twice (first at a.yaml:2): keep one"),
        ("run: {}\nppo: {}\nrun: {}", "a.yaml:3: key 'run' is given twice (first at a.yaml:1): keep one"),
        ("run:\n  seed: 1\nrun: {}", "a.yaml:3: key 'run' is given twice (first at a.yaml:1): keep one"),
        ("a: &x 1", "a.yaml:1: anchors and aliases ('&', '*') are not supported: write the value out"),
        ("a: *x", "a.yaml:1: anchors and aliases ('&', '*') are not supported: write the value out"),
        ("&x a: 1", "a.yaml:1: anchors and aliases ('&', '*') are not supported: write the value out"),
        ("!!int 1: 1", "a.yaml:1: tags are not supported: remove 'tag:yaml.org,2002:int'"),
        ("*a : 1", "a.yaml:1: a key must be a plain name, not a list, mapping or alias"),
        ("? [a]\n: b", "a.yaml:1: a key must be a plain name, not a list, mapping or alias"),
        ("a: !!str 1", "a.yaml:1: tags are not supported: remove 'tag:yaml.org,2002:str'"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "a.yaml:1: tags are not supported: remove 'tag:yaml.org,2002:python/object/apply:os.system'",
        ),
        ("---\na: 1\n---\nb: 2", "a.yaml:3: expected one YAML document, found a second ('---')"),
        ("[" * 100_000, f"a.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        ("{a: " * 10_000, f"a.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        ("- " * 10_000, f"a.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        ("run:\n\tname: a", "a.yaml:2: not valid YAML: found character '\\t' that cannot start any token"),
        ("run: {name: a", "a.yaml:1: not valid YAML: expected ',' or '}', but got '<stream end>'"),
        ("x: 1\nx\u0000: 2", "a.yaml:2: not valid YAML: character 0 is not allowed"),
        (b"run:\n  name: \xff\xfe", "a.yaml:2: not UTF-8 text (byte 0xff)"),
        (b"\xff\xfer\x00u\x00n\x00", "a.yaml:1: not UTF-8 text (byte 0xff)"),
    ],
)
def test_what_a_configuration_has_no_use_for_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert refusal(tmp_path, text) == message


def test_whole_number_of_a_million_digits_costs_nothing(tmp_path: Path) -> None:
    assert "run.seed: expected a whole number" in refusal(tmp_path, "run: {seed: " + "9" * 900_000 + "}")


@given(st.text(max_size=200))
def test_any_text_is_a_value_or_a_config_error(text: str) -> None:
    try:
        plain(read_yaml(text, source="fuzz", layer=0))
    except ConfigError as error:
        assert str(error).startswith("fuzz:")  # noqa: PT017  # both outcomes are fine, the message must be


def test_damaged_config_is_loaded_or_refused_but_never_crashes(tmp_path: Path) -> None:
    """Cut, swap and overwrite bytes of the real file; only ConfigError may come out."""
    good = (Path(__file__).parents[3] / "configs" / "config.yaml").read_bytes()
    rng = random.Random(11)
    refused = 0
    for _ in range(150):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            start = rng.randrange(len(data))
            data[start : start + rng.randrange(1, 4)] = rng.choice(
                [b"", b":", b"\t", b"[", b"'", b"\xff", b"- ", b"\n"]
            )
        try:
            load(tmp_path, bytes(data))
        except ConfigError:
            refused += 1
    assert refused > 20  # most hits land in comments; plenty do not
