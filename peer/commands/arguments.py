"""Settings of a command: from files, variables and its arguments, and the arguments that make them again."""

import os
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from peer.commands.exits import or_exit
from peer.errors import ConfigError

if TYPE_CHECKING:
    from peer.config.schema import Config
    from peer.config.sources import Base

DEFAULT_CONFIG = Path("configs/config.yaml")
DEFAULT_DATA_DIR = Path("runs")
DATA_DIR_VARIABLE = "MURMUR_STORAGE__DATA_DIR"
"""Names the data folder for commands that read no other settings, as it does for peers."""

_TOO_MANY = 2**63
"""The core counts in 64 bits."""

ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="YAML file; give it again to lay a preset over it. Default: configs/config.yaml where there is one, "
        "else the built-in defaults, which are the same.",
    ),
]


def _overrides(example: str) -> Any:  # Any: as typer declares arguments
    return typer.Argument(
        metavar="[SECTION.KEY=VALUE]...",
        help=f"Settings that win over files and MURMUR_SECTION__KEY variables, such as {example}.",
    )


Overrides = Annotated[list[str] | None, _overrides("round.train_s=1")]
LearnerOverrides = Annotated[list[str] | None, _overrides("ppo.learning_rate=1e-4")]
"""Of a command that has no rounds."""


def data_dir_option(meaning: str) -> Any:  # Any: as typer declares options
    """Declare `--data-dir` for a command that reads no other settings; its default is `DEFAULT_DATA_DIR`."""
    return typer.Option("--data-dir", metavar="FOLDER", envvar=DATA_DIR_VARIABLE, help=meaning)


def whole_number(text: str) -> int:
    """Read an option that counts, also as people write large ones: 1_000_000, 1e6.

    Raises: typer.BadParameter below 1, above what an int64 holds, or when it is no whole number.
    """
    value = _whole_number_within(1, _TOO_MANY - 1, text)
    if value is None:
        raise typer.BadParameter(f"expected a whole number from 1 to 2^63 - 1, such as 100000 or 1e5, got {text!r}")
    return value


def whole_number_from(least: int, to: int | None = None) -> Callable[[str], int]:
    """Return what reads an option that is a whole number in [least, to]; it raises typer.BadParameter for any other.

    to: None where too many is as good as all; the number read then stays below what an int64 holds.
    """

    def read(text: str) -> int:
        value = _whole_number_within(least, to, text)
        if value is None:
            bounds = f"of at least {least}" if to is None else f"from {least} to {to}"
            raise typer.BadParameter(f"expected a whole number {bounds}, got {text!r}")
        return value

    return read


def _whole_number_within(least: int, most: int | None, text: str) -> int | None:
    try:
        value = Decimal(text)
        if most is None:
            value, most = min(value, Decimal(_TOO_MANY - 1)), _TOO_MANY - 1
        counts = least <= value <= most and value == value.to_integral_value()
    except InvalidOperation:  # no number, or NaN
        counts = False
    return int(value) if counts else None


def one_of(*valid: str) -> Callable[[str], str]:
    """Return what reads a word that is one of `valid`; it raises typer.BadParameter for any other."""

    def read(text: str) -> str:
        if text in valid:
            return text
        from peer.config.likeness import nearest

        near = nearest(text, valid)
        hint = f"; did you mean {near}?" if near else ""
        raise typer.BadParameter(f"expected one of {', '.join(valid)}, got {text!r}{hint}")

    return read


def load(files: list[Path] | None, overrides: list[str] | None) -> "Config":
    from peer.config.load import load_config  # here and below: -h and --version must not wait for what they never use
    from peer.known_envs import KnownEnvs

    return or_exit(lambda: load_config(config_files(files), os.environ, overrides or [], known_envs=KnownEnvs()))


def load_over(base: "Base", files: list[Path] | None, overrides: list[str] | None) -> "Config":
    """Return what the user has set, over `base`, which stands for the file that is read by default.

    Raises: ConfigError.
    """
    from peer.config.load import load_config
    from peer.known_envs import KnownEnvs

    return load_config(files or [], os.environ, overrides or [], base=base, known_envs=KnownEnvs())


def default_settings() -> "Config":
    """Return what holds where the user sets nothing. Raises: ConfigError."""
    from peer.config.load import load_config

    return load_config(config_files(None), {}, [])


def data_dir(files: list[Path] | None, overrides: list[str] | None) -> Path:
    """Return `storage.data_dir`, whatever else is set. Raises: ConfigError."""
    from peer.config.load import load_config

    given = [text for text in overrides or [] if text.lstrip().startswith("storage.")]
    named = {DATA_DIR_VARIABLE: os.environ.get(DATA_DIR_VARIABLE, "")}
    return Path(load_config(config_files(files), named, given).storage.data_dir)


def config_files(files: list[Path] | None) -> list[Path]:
    if files:
        return files
    return [DEFAULT_CONFIG] if DEFAULT_CONFIG.exists() else []


def told_settings(config: "Config") -> tuple[str, ...]:
    """Return the overrides that make `config` again, here and where there are neither our files nor our variables."""
    from peer.config.load import load_config
    from peer.config.overrides import differing
    from peer.config.schema import Config

    bases = [Config()]
    with suppress(ConfigError):  # what nobody can start with is nothing to tell apart from
        bases.append(load_config(config_files(None), os.environ, []))
    return differing(config, bases=bases)


def config_arguments(files: list[Path] | None, overrides: list[str] | None) -> list[str]:
    """Return the arguments that make `murmur peer` read what we have read."""
    options = [part for file in config_files(files) for part in ("--config", str(file))]
    return [*options, *(overrides or [])]
