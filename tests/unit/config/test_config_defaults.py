"""configs/config.yaml is the reference for users: complete, commented, and equal to the schema."""

import itertools
import re
from pathlib import Path

import pytest

from peer.aggregation.outer import OUTER_OPTIMIZERS
from peer.aggregation.registry import RULES
from peer.config.digest import AGREED_KEYS
from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.sources import dotted_keys
from peer.config.tree import plain, walk
from peer.config.yaml_tree import read_yaml
from peer.known_envs import KnownEnvs
from peer.native import env_names
from tests.unit.config.config_files import KNOWN_ENVS, REPOSITORY

CONFIGS = REPOSITORY / "configs"
REFERENCE = CONFIGS / "config.yaml"


def test_reference_file_states_every_default() -> None:
    node = read_yaml(REFERENCE.read_text(), source="config.yaml", layer=0)
    assert plain(node) == Config().model_dump()
    assert load_config([REFERENCE], {}, [], known_envs=KNOWN_ENVS) == Config()


def test_reference_file_has_sections_and_keys_in_the_order_of_the_schema() -> None:
    node = read_yaml(REFERENCE.read_text(), source="config.yaml", layer=0)
    written = [".".join(path) for path, _ in walk(node) if len(path) == 2]
    assert tuple(written) == dotted_keys()


def test_every_key_has_a_comment_above_it() -> None:
    lines = REFERENCE.read_text().splitlines()
    bare = [
        line.strip()
        for above, line in itertools.pairwise(lines)
        if re.match(r"  [a-z]\w*:", line) and not above.strip().startswith("#")
    ]
    assert bare == []


@pytest.mark.parametrize("names", [RULES, OUTER_OPTIMIZERS, env_names()], ids=["rules", "optimizers", "environments"])
def test_everything_that_can_be_chosen_by_name_is_named(names: list[str]) -> None:
    text = REFERENCE.read_text()
    assert {name for name in names if name not in text} == set()


def test_marks_of_equal_keys_match_the_digest() -> None:
    """The comment of a key ends in (=) exactly where peers must agree on it."""
    marked, section, comment = set(), "", ""
    for line in REFERENCE.read_text().splitlines():
        if match := re.match(r"([a-z]+):", line):
            section, comment = match[1], ""
        elif line.startswith("  #"):
            comment += line
        elif match := re.match(r"  ([a-z]\w*):", line):
            if "(=)" in comment:
                marked.add(f"{section}.{match[1]}")
            comment = ""
    assert marked == {f"{name}.{key}" for name, keys in AGREED_KEYS.items() for key in keys}


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_preset_loads_and_holds_only_what_differs(file: Path) -> None:
    config = load_config([REFERENCE, file], {}, [], known_envs=KnownEnvs())
    assert config == load_config([file], {}, [])
    if file == REFERENCE:
        return
    node = read_yaml(file.read_text(), source=file.name, layer=0)
    defaults = Config().model_dump()
    for (section, key), value in ((path, plain(leaf)) for path, leaf in walk(node) if len(path) == 2):
        assert defaults[section][key] != value, f"{file.name}: {section}.{key} is the default already"
