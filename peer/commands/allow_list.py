"""`murmur allow-list`: say who may take part in a run, and sign it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peer.commands import exits

if TYPE_CHECKING:
    from peer.admission.allow_list import AllowListFile

allow_list_app = typer.Typer(
    help="Make, change, sign and show lists of who may take part.\n\n"
    "\b\nExample, on the machine of whoever decides:\n"
    "  murmur identity new authority.key      once; it never runs a peer\n"
    "  murmur allow-list new swarm.json --run cartpole\n"
    "  murmur allow-list add swarm.json 12D3KooW... --name alice\n"
    "  murmur allow-list sign swarm.json --key authority.key\n"
    "  murmur peer 'network.authorities=[12D3K...]' network.allow_list=swarm.json\n\n"
    "Give a new version to any one running peer: it reads the file again, and passes it on to all others.",
    no_args_is_help=True,
)

ListFile = Annotated[Path, typer.Argument(metavar="FILE", help="The allow-list.")]
PeerArgument = Annotated[str, typer.Argument(metavar="PEER", help="Peer id, as `murmur identity show` prints it.")]


@allow_list_app.command("new")
def new_command(
    file: ListFile,
    run: Annotated[str, typer.Option("--run", metavar="NAME", help="The run.name that it is for.")],
) -> None:
    """Make an empty list, version 1, in FILE. Never overwrites.

    \b
    Example:
      murmur allow-list new swarm.json --run cartpole
    """
    from peer.admission.allow_list import AllowListFile
    from peer.config.schema import is_run_name
    from peer.storage.allow_list_file import create_allow_list

    if not is_run_name(run):
        exits.refuse(f"--run: expected 1 to 48 characters of a-z, 0-9 and '-', as of run.name, got {run!r}")
    exits.or_exit(lambda: create_allow_list(file, AllowListFile(run=run, version=1)))
    _show(file)


@allow_list_app.command("add")
def add_command(
    file: ListFile,
    peer: PeerArgument,
    name: Annotated[str, typer.Option("--name", help="For people.")] = "",
    role: Annotated[str, typer.Option("--role", help="For people.")] = "",
) -> None:
    """Put a peer on the list, or change its name and role. The new version must be signed again.

    \b
    Example:
      murmur allow-list add swarm.json 12D3KooW... --name alice
    """
    from peer.admission.allow_list import MAX_LABEL, Listed, is_label, with_peer
    from peer.errors import ProtocolError
    from peer.peer_ids import public_key_of

    try:
        public_key_of(peer)
    except ProtocolError as error:
        exits.refuse(f"{peer!r} is no peer id, as `murmur identity show` prints it: {error.detail}")
    for option, label in (("--name", name), ("--role", role)):
        if not is_label(label):
            allowed = f"up to {MAX_LABEL} characters of a-z, A-Z, 0-9, '_', '.', '-' and space"
            exits.refuse(f"{option}: expected {allowed}, got {label!r}")
    _change(file, lambda found: with_peer(found, Listed(peer, name, role)))


@allow_list_app.command("remove")
def remove_command(file: ListFile, peer: PeerArgument) -> None:
    """Take a peer off the list. The new version must be signed again; then all peers part from it.

    \b
    Example:
      murmur allow-list remove swarm.json 12D3KooW...
    """
    from peer.admission.allow_list import without_peer

    _change(file, lambda found: without_peer(found, peer))


@allow_list_app.command("sign")
def sign_command(
    file: ListFile,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Key file of an authority.")],
) -> None:
    """Sign the list with the key of an authority. `murmur identity new` makes such a key.

    \b
    Example:
      murmur allow-list sign swarm.json --key authority.key
    """
    from peer.admission.allow_list import signed
    from peer.network.key_file import load_identity

    if not key.exists():
        exits.refuse(f"there is no file {key}")
    identity = exits.or_exit(lambda: load_identity(key))
    _change(file, lambda found: signed(found, identity))


@allow_list_app.command("show")
def show_command(file: ListFile) -> None:
    """Print version, peers, and whose signatures it has.

    \b
    Example:
      murmur allow-list show swarm.json
    """
    _show(file)


def _change(file: Path, change: Callable[["AllowListFile"], "AllowListFile"]) -> None:
    from peer.storage.allow_list_file import change_allow_list

    exits.or_exit(lambda: change_allow_list(file, change))
    _show(file)


def _show(file: Path) -> None:
    from peer.admission.allow_list import signers_of
    from peer.storage.allow_list_file import load_allow_list
    from peer.telemetry.plain_text import plural
    from peer.types import PeerId

    found = exits.or_exit(lambda: load_allow_list(file))
    claimed = [PeerId(each.authority) for each in found.signatures]
    valid = signers_of(found, claimed)
    exits.tell(f"run {found.run}, version {found.version}, {plural(len(found.peers), 'peer')}")
    for listed in found.peers:
        exits.tell("  ".join(part for part in (f"  {listed.peer}", listed.name, listed.role) if part))
    for authority in claimed:
        exits.tell(f"  {'signed by' if authority in valid else 'WRONG signature of'} {authority}")
    if not claimed:
        exits.tell(f"  not signed yet: murmur allow-list sign {file} --key AUTHORITY-KEY")
