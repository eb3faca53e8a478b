"""What the commands share: settings from files and arguments, expected failures as one message, early signals."""

import gc
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from peer.errors import ConfigError, StorageError, TransportError

if TYPE_CHECKING:
    from peer.config.schema import Config

_IMPORTED_AT = time.monotonic()
DEFAULT_CONFIG = Path("configs/config.yaml")
DATA_DIR_VARIABLE = "MURMUR_STORAGE__DATA_DIR"
"""Names the data folder for commands that read no other settings, as it does for peers."""

EXIT_FAILED = 1
EXIT_USAGE = 2

T = TypeVar("T")

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
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SECTION.KEY=VALUE]...",
        help="Settings that win over files and MURMUR_SECTION__KEY variables, such as round.train_s=1.",
    ),
]


def load(files: list[Path] | None, overrides: list[str] | None) -> "Config":
    from peer.config.load import load_config  # here and below: -h and --version must not wait for what they never use
    from peer.native import known_envs

    return or_exit(lambda: load_config(config_files(files), os.environ, overrides or [], known_envs=known_envs()))


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


def or_exit(action: Callable[[], T]) -> T:
    """Turn an expected failure into its message and exit code 2; a bug keeps its traceback."""
    try:
        return action()
    except (ConfigError, StorageError, TransportError, ValueError) as error:
        typer.echo(f"murmur: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from error


def on_stop(handler: Callable[[int, object], None]) -> None:
    """Have SIGINT and SIGTERM end us well while libraries load; later the peer and the swarm listen themselves."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def exit_before_start(_number: int, _frame: object) -> NoReturn:
    """End well: nothing has begun, so nothing is to be saved.

    At once, as an exception would surface wherever the signal came: in the start of an extension module, or of an event
    loop, which report it as an error of their own.
    """
    os._exit(0)


def exit_unfinished(number: int, _frame: object) -> NoReturn:
    """End at once, too, but as a shell reports a signal: what a command was asked to find out is not known."""
    os._exit(128 + number)


@contextmanager
def loading() -> Iterator[None]:
    """Import in this block. What is loaded stays for good, so looking for garbage in it costs a fifth of a peer's start
    and finds none."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def process_age() -> float:
    """Return the seconds since the kernel started this process, the interpreter's own start included."""
    try:
        started_ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        return uptime_s - started_ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):  # no Linux: as good as we can
        return time.monotonic() - _IMPORTED_AT
