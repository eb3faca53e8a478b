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
    from peer.doctor.finding import failed, line

    findings = examine(settings, lambda finding: None if json else typer.echo(line(finding)))
    if json:
        typer.echo(dumps([finding.json() for finding in findings], indent=1))
    raise typer.Exit(1 if failed(findings) else 0)
