"""Environments that a file names, and not the user: the file may have come from anywhere."""

from pathlib import Path

from peer.python_envs.names import imports_foreign_module, is_python_env, module_of
from peer.python_envs.registration import register_env
from peer.telemetry.plain_text import printable


def register_env_of_file(name: str, *, file: Path, consent: str) -> None:
    """Have the core know the environment that `file` is of, unless that imports a module of somebody.

    consent: how the user says that the module is theirs.
    Raises: ValueError when it does import one, or the environment cannot be used.
    """
    named = printable(name)
    if imports_foreign_module(name):
        raise ValueError(
            f"{file} is of {named}: using it imports the module {module_of(named)}, which the file names; if that is"
            f" yours, {consent}"
        )
    if is_python_env(name):
        try:
            register_env(name)
        except ValueError as error:
            raise ValueError(f"{file} is of {named}, which cannot be used: {error}") from error
