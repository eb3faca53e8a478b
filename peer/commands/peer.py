"""`murmur peer`: take part in a swarm."""

import os

from peer.commands import arguments, exits, startup


def peer_command(config: arguments.ConfigFiles = None, overrides: arguments.Overrides = None) -> None:
    """Run one peer until the swarm has solved its task, or Ctrl-C.

    It trains at once, alone if need be, and merges with the peers that it finds by network.dns and
    network.addresses. Identity and state are kept in storage.data_dir, in a slot-N that no other process holds;
    started again, it goes on from there. Exit code: 0 when done or stopped, 1 when its environment in Python failed, 2
    when it cannot start.

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
