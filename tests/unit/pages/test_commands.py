"""Every `murmur` command in the documentation has the options that it is shown with, and settings that are accepted."""

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from peer.commands.table import app
from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.sources import dotted_keys
from tests.unit.pages.pages import GUIDES, ROOT, code, name

CONFIGS = [*(ROOT / "configs").glob("*.yaml"), *(ROOT / "docker").glob("*.yml"), *ROOT.glob("docker-compose*.yml")]
SECTIONS = "|".join(Config.model_fields)
KEY = re.compile(rf"((?:{SECTIONS})\.(?!py$|png$|safetensors$)[a-z_0-9]+)(?:=.*)?$")
MADE_UP = re.compile(r"[A-Z]{4}|\.\.\.|100\.x")
"""A placeholder: AUTHORITY, PUBLIC-ADDRESS, /ip4/100.x.y.z."""


def shown(page: Path) -> list[list[str]]:
    """Return the words of each command line that the page shows, from `murmur` on."""
    lines = [re.sub(r"\$\([^)]*\)", "word", line).split(" #")[0].split(" >")[0] for line in code(page)]
    found = [re.search(r"(?:^|/bin/|exec \S+ (?:-- )?)murmur (?=[a-z-])(.*)", line) for line in lines]
    return [shlex.split(match[1].split(" | ")[0]) for match in found if match]


def keys(page: Path) -> list[str]:
    """Return each key that the page names, with or without a value."""
    words = [word.strip("'\",;:.") for line in code(page) if "murmur: " not in line for word in line.split()]
    return [match[1] for word in words if (match := KEY.match(word))]


def command(words: list[str]) -> tuple[TyperCommand | TyperGroup, list[str]]:
    """Return the command that the words name, and the words behind its name."""
    found = get_command(app)
    while isinstance(found, TyperGroup) and words and words[0] in found.commands:
        found, words = found.commands[words[0]], words[1:]
    assert isinstance(found, TyperCommand | TyperGroup)
    return found, words


def test_commands_and_settings_are_found() -> None:
    assert sum(len(shown(page)) for page in GUIDES) > 60
    assert sum(len(keys(page)) for page in GUIDES) > 100


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_every_command_that_is_shown_has_its_options(page: Path) -> None:
    for words in shown(page):
        called, arguments = command(words)
        assert isinstance(called, TyperCommand) or not arguments, f"murmur {shlex.join(words)}: no such command"
        options = {option for parameter in called.params for option in parameter.opts} | {"-h", "--help"}
        for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", " ".join(arguments)):
            assert option in options, f"murmur {shlex.join(words)}: {option}"


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_settings_of_every_command_that_is_shown_are_accepted(page: Path) -> None:
    for words in shown(page):
        if not any(MADE_UP.search(word) for word in words):
            load_config([], {}, [word for word in words if KEY.match(word)])


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_every_key_that_is_named_is_one(page: Path) -> None:
    assert set(keys(page)) <= set(dotted_keys())


@pytest.mark.parametrize("page", [*GUIDES, *CONFIGS], ids=name)
def test_every_variable_that_is_named_is_a_key(page: Path) -> None:
    for section, key in re.findall(r"MURMUR_([A-Z]+)__([A-Z_0-9]+)", page.read_text(encoding="utf-8")):
        assert f"{section}.{key}".lower() in dotted_keys(), f"MURMUR_{section}__{key}"


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_every_variable_of_compose_that_is_named_is_one(page: Path) -> None:
    files = "".join(file.read_text(encoding="utf-8") for file in CONFIGS if file.suffix == ".yml")
    for variable, value in re.findall(r"\b(PEER_[A-Z]+)(?:=(\S+))?", "\n".join(code(page))):
        assert f"${{{variable}:-" in files, variable
        assert not value.endswith(".yaml") or (ROOT / "configs" / value).exists(), value
