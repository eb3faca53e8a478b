"""`murmur identity`: make, show, export and import the key that is a peer."""

import getpass
import warnings
from pathlib import Path
from typing import Annotated

import typer

from peer.commands import arguments, exits
from peer.errors import StorageError

MIN_PASSPHRASE = 8
_MAX_PASSPHRASE = 1024

identity_app = typer.Typer(
    help="Make, show, export and import a peer's identity. It is the Ed25519 key by which the swarm knows the peer.\n\n"
    "A peer makes its own key at its first start (slot-N/identity.key). These commands are for making one "
    "beforehand, for backups, and for moving a peer to another machine. One identity must never run twice at once.",
    no_args_is_help=True,
)

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="File whose first line is the passphrase, such as /dev/stdin. Default: ask for it."
    ),
]


@identity_app.command("new")
def new_command(file: Annotated[Path, typer.Argument(metavar="FILE", help="Key file to make.")]) -> None:
    """Make a new identity in FILE (mode 0600) and print its peer id. Never overwrites.

    \b
    Example:
      murmur identity new runs/slot-0/identity.key
    """
    from peer.network.identity import Identity
    from peer.network.key_file import write_new_identity

    identity = Identity.generate()
    try:
        write_new_identity(file, identity)
    except StorageError as error:
        exits.refuse(str(error))
    exits.tell(identity.peer_id)


@identity_app.command("show")
def show_command(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Key files.")] = None,
    data_dir: Annotated[
        Path, arguments.data_dir_option("Without FILE: show the peers of this data folder.")
    ] = arguments.DEFAULT_DATA_DIR,
) -> None:
    """Print peer id, public key (hex) and file of each identity. Prints nothing secret.

    \b
    Examples:
      murmur identity show              all peers of runs/
      murmur identity show peer-1.key   one file
    """
    from peer.network.key_file import KEY_FILE, load_identity
    from peer.storage.slots import require_open_slots

    source = context.get_parameter_source("data_dir")
    if files and source is not None and source.name == "COMMANDLINE":
        exits.refuse(f"--data-dir {data_dir} has no effect beside {files[0]}: give key files, or a data folder")
    found = files or sorted(data_dir.glob(f"slot-*/{KEY_FILE}"))
    if not found:
        exits.or_exit(lambda: require_open_slots(data_dir))
        exits.refuse(f"no identity in {data_dir}: name a key file, or another folder with --data-dir")
    for file in found:
        try:
            identity = load_identity(file)
        except FileNotFoundError:
            exits.refuse(f"there is no file {file}")
        except StorageError as error:
            exits.refuse(str(error))
        exits.tell(f"{identity.peer_id}  {identity.public_key.hex()}  {file}")


@identity_app.command("export")
def export_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Key file to export.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Encrypted copy to write; never overwritten.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write an encrypted copy of a key (PKCS #8 PEM). It is for a backup or another machine.

    \b
    Example:
      murmur identity export runs/slot-0/identity.key --to peer-1.pem
    """
    from peer.network.key_export import encrypt_identity
    from peer.network.key_file import load_identity

    try:
        identity = load_identity(file)
        pem = encrypt_identity(identity, _passphrase(passphrase_file, confirm=True))
        _write_secret(to, pem)
    except FileNotFoundError as error:
        exits.refuse(f"there is no file {error.filename}")
    except (StorageError, ValueError) as error:
        exits.refuse(str(error))
    exits.tell(identity.peer_id)


@identity_app.command("import")
def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `murmur identity export` wrote.")],
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Key file to make, such as slot-0/identity.key.")],
    passphrase_file: PassphraseFile = None,
) -> None:
    """Decrypt an exported key into a key file (mode 0600). Never overwrites.

    \b
    Example:
      murmur identity import peer-1.pem --to runs/slot-0/identity.key
    """
    from peer.network.key_export import MAX_PEM_BYTES, decrypt_identity
    from peer.network.key_file import write_new_identity

    try:
        with file.open("rb") as stream:
            pem = stream.read(MAX_PEM_BYTES + 1)
        identity = decrypt_identity(pem, _passphrase(passphrase_file, confirm=False))
        write_new_identity(to, identity)
    except OSError as error:
        exits.refuse(f"cannot read {file}: {(error.strerror or str(error)).lower()}")
    except (StorageError, ValueError) as error:
        exits.refuse(f"{file}: {error}" if isinstance(error, ValueError) else str(error))
    exits.tell(identity.peer_id)


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    """Raises: ValueError when a new passphrase is shorter than MIN_PASSPHRASE, or none can be read."""
    passphrase = _asked(confirm=confirm) if file is None else _first_line(file)
    if confirm and len(passphrase) < MIN_PASSPHRASE:
        raise ValueError(f"the passphrase has {len(passphrase)} characters, expected at least {MIN_PASSPHRASE}")
    return passphrase


def _asked(*, confirm: bool) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True))
        except getpass.GetPassWarning as warning:
            raise ValueError(
                "there is no terminal to ask for the passphrase: name a file by --passphrase-file (pipe: /dev/stdin)"
            ) from warning


def _first_line(file: Path) -> str:
    try:
        with file.open() as text:
            line = text.readline(_MAX_PASSPHRASE + 1).removesuffix("\n")
    except OSError as error:
        raise ValueError(f"cannot read the passphrase from {file}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot read the passphrase from {file}: it is no text") from error
    if len(line) > _MAX_PASSPHRASE:
        raise ValueError(f"the first line of {file} is no passphrase: it has more than {_MAX_PASSPHRASE} characters")
    return line


def _write_secret(path: Path, data: bytes) -> None:
    from peer.secret_file import create_secret

    if not create_secret(path, data):
        raise StorageError(f"{path} exists already: name another file, or move it away")
