"""`murmur bench`: how fast this machine trains."""

from typing import Annotated

import typer

from peer.commands import arguments, exits


def bench_command(
    *,
    what: Annotated[
        str,
        typer.Argument(
            parser=arguments.one_of("env", "train"),
            metavar="env|train",
            help="env: stepping alone. train: PPO end to end.",
        ),
    ],
    env: Annotated[str | None, typer.Option(help="Which environment. Default: CartPole-v1.")] = None,
    setting: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="classic (8 envs x 128 steps, 4 epochs, minibatch 256) or throughput (1024 x 64, 2, 16384). "
            "Default: classic for train, throughput for env.",
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of the learner. Default: 1.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda.")] = None,
    backend: Annotated[str | None, typer.Option(help="As compute.backend.")] = None,
    seconds: Annotated[float, typer.Option(help="Length of each stretch.")] = 1.0,
    repeats: Annotated[int, typer.Option(help="How many stretches; their median counts.")] = 7,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SECTION.KEY=VALUE]...",
            help="Settings that differ from those of --setting, such as ppo.epochs=2.",
        ),
    ] = None,
) -> None:
    """Measure env steps a second on this machine. Prints median and extremes; close other programs first.

    Trainers are usually compared at the two values of --setting. Files and MURMUR_ variables have no effect. --env,
    --threads, --device and --backend are short for env.name=, compute.threads= and so on. Progress goes to stderr, the
    result to stdout.

    \b
    Examples:
      murmur bench train                        CartPole-v1, classic, 1 thread
      murmur bench train --setting throughput --threads 2 --json
      murmur bench env --env Pendulum-v1        another environment
    """
    exits.end_by_signals()
    from peer.solo.bench import bench_env, bench_train
    from peer.solo.settings import BenchOptions

    options = BenchOptions(
        env=env,
        setting=setting or {"train": "classic", "env": "throughput"}[what],
        threads=threads,
        device=device,
        backend=backend,
        seconds=seconds,
        repeats=repeats,
        overrides=overrides or [],
    )
    result = exits.or_exit(lambda: (bench_env if what == "env" else bench_train)(options))
    exits.tell(result.json() if json else result.text())
