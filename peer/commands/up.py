"""`murmur up`: a swarm on this machine."""

from typing import Annotated

import typer

from peer.commands import arguments, exits


def up_command(
    peers: Annotated[
        int,
        typer.Option(
            "--peers",
            "-n",
            parser=arguments.whole_number_from(1, to=64),
            metavar="N",
            help="How many peer processes, 1 to 64.",
        ),
    ] = 3,
    config: arguments.ConfigFiles = None,
    base_port: Annotated[
        int,
        typer.Option(
            parser=arguments.whole_number_from(0, to=65_000),
            metavar="PORT",
            help="First port on 127.0.0.1, up to 65000; 0: any free ones.",
        ),
    ] = 0,
    overrides: arguments.Overrides = None,
) -> None:
    """Run a swarm on this machine: peer processes on loopback. Their logs are interleaved; Ctrl-C stops all of them.

    Every peer is told the addresses of all; none is special. Kill one with kill -9 and watch the others go on.
    Started again, the swarm goes on where it was stopped, and one that has finished says so. Exit code: 0 when
    every peer ended well or was killed by hand, 2 when they cannot start, else that of the first peer that did not.

    \b
    Examples:
      murmur up                             CartPole-v1, three peers, in runs/
      murmur up -n 4 stop.mean_return=null  for ever
      murmur up -c configs/pendulum.yaml storage.data_dir=/tmp/pendulum
    """
    exits.on_stop(exits.exit_before_start)
    from peer.local_swarm import LocalSwarm, check_overrides

    exits.or_exit(lambda: check_overrides(overrides or []))
    settings = arguments.load(config, overrides)  # all problems are told once, here, not by every peer
    swarm = LocalSwarm(
        settings, peers=peers, base_port=base_port, arguments=arguments.config_arguments(config, overrides)
    )
    raise typer.Exit(exits.or_exit(swarm.run))
