"""`murmur doctor`: what would keep a peer from working here."""

from json import dumps
from typing import Annotated

import typer

from peer.commands import arguments, exits


def doctor_command(
    *,
    config: arguments.ConfigFiles = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON array of findings.")] = False,
    overrides: arguments.Overrides = None,
) -> None:
    """Say what would keep a peer from working here, and what to do.

    Checks the settings, disk, identities, swarm key and allow-list, what computes, the clock, the port, and every
    address of network.dns and network.addresses: name, TCP, handshake, version, run, settings, admission. Takes part in
    nothing. Exit code: 0 when all is well, 1 when something fails, 2 when the settings cannot be read.

    \b
    Example:
      murmur doctor 'network.addresses=[/ip4/192.0.2.7/tcp/4001]'
    """
    exits.on_stop(exits.exit_unfinished)
    from peer.network.libp2p_unused import leave_out_unused

    settings = arguments.load(config, overrides)
    leave_out_unused()
    from peer.doctor.examine import examine
    from peer.doctor.finding import Finding, failed, line

    unread: list[typer.Exit] = []

    def show(text: str) -> None:
        try:
            exits.tell(text)
        except typer.Exit as error:  # the checks go on: the exit code tells of them, too
            unread.append(error)

    def found(finding: Finding) -> None:
        if not json:
            show(line(finding))

    findings = examine(settings, found)
    if json:
        show(dumps([finding.json() for finding in findings], indent=1))
    unwritable = max((error.exit_code for error in unread), default=0)
    raise typer.Exit(unwritable or (exits.EXIT_FAILED if failed(findings) else 0))
