"""How the commands end: expected failures as one message, signals at once."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import typer

from peer.errors import ConfigError, EnvFailedError, StorageError, TransportError

EXIT_FAILED = 1
EXIT_USAGE = 2

T = TypeVar("T")


def or_exit(action: Callable[[], T]) -> T:
    """Turn an expected failure into its message and exit code 2, or 1 once it had begun; a bug keeps its traceback."""
    try:
        return action()
    except EnvFailedError as error:
        note(f"murmur: {error}")
        raise typer.Exit(EXIT_FAILED) from error
    except (ConfigError, StorageError, TransportError, ValueError) as error:
        note(f"murmur: {error}")
        raise typer.Exit(EXIT_USAGE) from error


def refuse(message: str) -> NoReturn:
    """End with a message and exit code 2: what was asked for cannot be done."""
    note(f"murmur: {message}")
    raise typer.Exit(EXIT_USAGE)


def tell(text: str) -> None:
    """Print a result."""
    with writing():
        typer.echo(text)


def note(text: str) -> None:
    """Print what is no result, to stderr; that nobody can read it changes nothing."""
    from peer.telemetry.spare_stream import spare_stderr

    stream = spare_stderr()
    stream.write(f"{text}\n")
    stream.flush()


@contextmanager
def writing() -> Iterator[None]:
    """Turn a stdout that cannot be written into its message and exit code 2; `| head` has seen enough."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:  # what is still buffered has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit from None
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        note(f"murmur: the output cannot be written: {error.strerror}")
        raise typer.Exit(EXIT_USAGE) from None


def on_stop(handler: Callable[[int, object], None]) -> None:
    """Have SIGINT and SIGTERM end us well while libraries load; later the peer and the swarm listen themselves."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def end_by_signals() -> None:
    """Have what asks us to stop end us at once: Python would hear of it when the core has finished what it does."""
    from peer.early_signals import STOP_SIGNALS, heeded

    for number in heeded(*STOP_SIGNALS):
        signal.signal(number, signal.SIG_DFL)


def exit_before_start(_number: int, _frame: object) -> NoReturn:
    """End well: nothing has begun, so nothing is to be saved.

    At once, as an exception would surface wherever the signal came: in the start of an extension module, or of an event
    loop, which report it as an error of their own.
    """
    os._exit(0)


def exit_unfinished(number: int, _frame: object) -> NoReturn:
    """End at once, too, but as a shell reports a signal: what a command was asked to find out is not known."""
    os._exit(128 + number)
