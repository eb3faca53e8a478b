"""`murmur simulate`: a whole swarm in this process."""

from pathlib import Path
from typing import Annotated

import typer

from peer.commands import arguments, exits
from peer.config.unread import check_read, is_read

_TOY_PARAMS = 64

UNREAD = {
    "network.": "its network is that of --latency, --loss and --partition",
    "storage.": "nothing is kept of a simulation",
    "log.": "a simulation has no log",
    "run.seed": "its seed is that of --seed",
    "stop.max_rounds": "--rounds says how many there are",
    "compute.threads": "each simulated peer has one thread",
}
"""Settings that a simulation has no use for, of which some may name what is this machine's alone."""

_UNREAD_BY_TOY = dict.fromkeys(("env.", "model.", "ppo.", "compute."), "the toy has no such thing, --agent native has")


def simulate_command(
    *,
    peers: Annotated[int, typer.Option("--peers", "-n", help="How many peers.")] = 8,
    rounds: Annotated[int, typer.Option("--rounds", "-r", help="Rounds to seal, solved or not.")] = 20,
    loss: Annotated[float, typer.Option(help="Probability that a message does not reach a peer.")] = 0.0,
    latency: Annotated[str, typer.Option(metavar="TIME", help="Median delay of one hop, such as 80ms.")] = "20ms",
    jitter: Annotated[float, typer.Option(help="Sigma of the lognormal delay; 0: all delays are equal.")] = 0.4,
    churn: Annotated[
        float, typer.Option(help="Crashes of a peer in a minute, on average; each is back after 5 to 30 s.")
    ] = 0.0,
    byzantine: Annotated[
        list[str] | None,
        typer.Option(metavar="SHARE:KIND", help="Peers that lie, such as 0.2:sign_flip; may be given again."),
    ] = None,
    partition: Annotated[
        list[str] | None,
        typer.Option(metavar="FROM-TO:SHARE", help="A cut that heals, such as 20s-40s:0.5; may be given again."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal runs, to the last byte.")] = 1,
    seeds: Annotated[
        int,
        typer.Option(
            parser=arguments.whole_number,
            metavar="N",
            help="Run so many seeds, from --seed on; stop at one that fails.",
        ),
    ] = 1,
    agent: Annotated[
        str,
        typer.Option(
            parser=arguments.one_of("toy", "native"), metavar="toy|native", help="What learns: a toy, or PPO in C++."
        ),
    ] = "toy",
    params: Annotated[int | None, typer.Option(help="Parameters of the toy's model. Default: 64.")] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the run; with --seeds each into FILE-SEED.png.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    config: arguments.ConfigFiles = None,
    overrides: arguments.Overrides = None,
) -> None:
    """Run a whole swarm in this process and in virtual time. It is the real round protocol, on a network of random
    numbers.

    Progress goes to stderr, the summary to stdout. Timers of a round, the aggregation, the codec and what the native
    agent learns come from the configuration. Exit code: 0 when the run was sound, 1 when two honest peers disagreed,
    one was refused or the swarm stood still (the line that replays it is printed), 2 when it cannot start.

    \b
    Kinds of liars: alie, copycat, corrupt, equivocate, forge, inner_product,
    lied_steps, nan, noise, oversize, random_policy, replay, sign_flip,
    withhold, x1000.

    \b
    Examples:
      murmur simulate --peers 32 --loss 0.05 --latency 80ms --churn 0.1
      murmur simulate --byzantine 0.2:sign_flip --plot run.png
      murmur simulate --partition 20s-40s:0.5 --rounds 60 --seeds 20
      murmur simulate --agent native --peers 4 round.train_s=5
    """
    exits.on_stop(exits.exit_unfinished)
    settings = arguments.load(config, overrides)
    unread = UNREAD | (_UNREAD_BY_TOY if agent == "toy" else {})
    exits.or_exit(lambda: check_read(overrides or [], unread))
    if agent == "native" and params is not None:
        exits.refuse(
            f"--params {params} is of the toy's model, and --agent native takes that of model.hidden: leave --params"
            " out, or say model.hidden=[64,64]"
        )
    from peer.simulation.arguments import parse_byzantine, parse_duration, parse_partition
    from peer.simulation.scenario import Scenario

    scenario = exits.or_exit(
        lambda: Scenario(
            peers=peers,
            rounds=rounds,
            seed=seed,
            loss=loss,
            latency_s=parse_duration(latency, "--latency"),
            jitter=jitter,
            churn=churn,
            byzantine=tuple(map(parse_byzantine, byzantine or [])),
            partitions=tuple(map(parse_partition, partition or [])),
            agent=agent,
            num_params=_TOY_PARAMS if params is None else params,
            settings=tuple(text for text in arguments.told_settings(settings) if is_read(text, unread)),
        )
    )
    from peer.simulation.command import simulate_and_show

    raise typer.Exit(
        exits.or_exit(
            lambda: simulate_and_show(scenario, settings, seeds=seeds, plot=plot, as_json=json, out=exits.tell)
        )
    )
