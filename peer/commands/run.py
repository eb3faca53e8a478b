"""`murmur peer` and `murmur up`: take part in a swarm."""

import os
from typing import Annotated

import typer

from peer.commands import arguments, exits, startup


def peer_command(config: arguments.ConfigFiles = None, overrides: arguments.Overrides = None) -> None:
    """Run one peer until the swarm has solved its task, or Ctrl-C.

    It trains at once, alone if need be, and merges with the peers that it finds by network.dns and
    network.addresses. Identity and state are kept in storage.data_dir, in the lowest slot-N that no other process
    holds; started again, it goes on from there. Exit code: 0 when done or stopped, 2 when it cannot start.

    \b
    Examples:
      murmur peer                 listens on port 4001, waits for others
      murmur peer 'network.addresses=[/ip4/192.0.2.7/tcp/4001]'
                                  joins the peer on that machine
      murmur peer -c configs/config.yaml -c configs/pendulum.yaml
                                  another task; presets hold what differs
      murmur peer network.port=0  any free port
    """
    exits.on_stop(exits.exit_before_start)
    from peer.network.libp2p_unused import leave_out_unused

    # No peer multiplies matrices with NumPy, whose library would start a thread for every core at once.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with startup.loading():
        settings = arguments.load(config, overrides)
        leave_out_unused(keep=("zeroconf",) if settings.network.mdns else ())
        from peer.process import run_process  # loads libp2p, lean by the line above

    exits.or_exit(lambda: run_process(settings, age=startup.process_age))


def up_command(
    peers: Annotated[int, typer.Option("--peers", "-n", min=1, max=64, help="How many peer processes.")] = 3,
    config: arguments.ConfigFiles = None,
    base_port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65_000, help="First port on 127.0.0.1; 0: any free ones.")
    ] = 0,
    overrides: arguments.Overrides = None,
) -> None:
    """Run a swarm on this machine: peer processes on loopback. Their logs are interleaved; Ctrl-C stops all of them.

    Every peer is told the addresses of all; none is special. Kill one with kill -9 and watch the others go on.
    Started again, the swarm goes on where it was stopped, and one that has finished says so. Exit code: 0 when
    every peer ended well or was killed by hand, 2 when they cannot start.

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
