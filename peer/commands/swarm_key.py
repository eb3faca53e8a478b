"""`murmur swarm-key`: make and compare the key of a private swarm."""

from pathlib import Path
from typing import Annotated

import typer

from peer.commands import exits

swarm_key_app = typer.Typer(
    help="Make and compare the keys of private swarms. Every peer of such a swarm has its key "
    "(network.swarm_key_file).\n\n"
    "Make one, copy the file to every peer over a channel that you trust, and name it in their settings. Peers "
    "without it, or with another, are refused in the handshake and served nothing.",
    no_args_is_help=True,
)

KeyFile = Annotated[Path, typer.Argument(metavar="FILE", help="Key file.")]


@swarm_key_app.command("new")
def new_command(file: KeyFile) -> None:
    """Make a new swarm key in FILE (mode 0600) and print its fingerprint. Never overwrites.

    \b
    Example:
      murmur swarm-key new swarm.key
      murmur peer network.swarm_key_file=swarm.key
    """
    from peer.storage.swarm_key_file import write_new_swarm_key

    exits.tell(exits.or_exit(lambda: write_new_swarm_key(file)).fingerprint)


@swarm_key_app.command("show")
def show_command(file: KeyFile) -> None:
    """Print the fingerprint of the key in FILE. By it two machines are compared; it tells nothing secret.

    \b
    Example:
      murmur swarm-key show swarm.key
    """
    from peer.storage.swarm_key_file import load_swarm_key

    exits.tell(exits.or_exit(lambda: load_swarm_key(file)).fingerprint)
