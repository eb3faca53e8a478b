"""`murmur status`: how the peers on this machine are."""

from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from peer.commands import arguments, exits


def status_command(
    *,
    data_dir: Annotated[
        Path, arguments.data_dir_option("The storage.data_dir of the peers.")
    ] = arguments.DEFAULT_DATA_DIR,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array, one object a slot.")] = False,
) -> None:
    """Ask the peers that run on this machine how they are.

    Tells round, roster, rates, what they wait for, and the last warnings.

    Exit code: 0 when a peer answered, 1 when none runs, 2 when there is no such folder.

    \b
    Examples:
      murmur status
      murmur status --data-dir /data --json
      docker-compose exec peer murmur status --data-dir /data
    """
    from peer.status_page import ask_all, page

    reports = exits.or_exit(lambda: ask_all(data_dir))
    if json:
        exits.tell(dumps([report.json() for report in reports], indent=1))
    else:
        exits.tell(page(reports))
    raise typer.Exit(0 if any(report.status is not None for report in reports) else 1)
