"""`murmur train`, `murmur eval` and `murmur bench`: one learner, without a network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from peer.commands import arguments, exits
from peer.errors import ConfigError

if TYPE_CHECKING:
    from peer.config.schema import Config


def train_command(
    config: arguments.ConfigFiles = None,
    env_steps: Annotated[
        int | None,
        typer.Option(
            parser=arguments.whole_number, metavar="N", help="Stop after so many env steps, such as 1e6, solved or not."
        ),
    ] = None,
    eval_steps: Annotated[
        int | None,
        typer.Option(
            parser=arguments.whole_number,
            metavar="N",
            help="Env steps between greedy evaluations. Default: 4096, later 5 % of those done.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option("--model", "-o", metavar="FILE", help="Where to save. Default: below storage.data_dir/train."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the learning curve.")] = None,
    curve: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write every evaluation as it comes, one JSON object a line: returns, losses, entropy, KL. Default: "
            "beside the model, if -o does not say where that goes.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda: short for compute.device=.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, the curve in it.")] = False,  # noqa: FBT002
    overrides: arguments.Overrides = None,
) -> None:
    """Train one learner on this machine, without a network. It trains until it reaches stop.mean_return.

    Equal seeds give equal models. Ctrl-C saves what was learned so far; a second one ends at once. Progress goes to
    stderr, the summary to stdout. Exit code: 0 when solved, out of steps or stopped, 1 when training diverged, 2 when
    it cannot start.

    \b
    Examples:
      murmur train  CartPole-v1 to a mean return of 475
      murmur train -c configs/pendulum.yaml --plot pendulum.png
      murmur train --env-steps 100000 stop.mean_return=null run.seed=7
    """
    exits.end_by_signals()  # until something is learned
    settings = arguments.load(config, overrides)
    if device is not None:
        exits.or_exit(lambda: _check_device(device, settings, overrides or []))
        settings = arguments.load(config, [*(overrides or ()), f"compute.device={device}"])
    from peer.config.goal import stray_goal

    if (odd := stray_goal(settings)) is not None:
        typer.echo(f"murmur: {odd.text()}", err=True)
    from peer.solo.train import TrainOptions, train_solo

    options = TrainOptions(
        max_env_steps=env_steps, eval_env_steps=eval_steps, model_file=model, plot=plot, curve_file=curve
    )
    summary = exits.or_exit(lambda: train_solo(settings, options))
    exits.tell(summary.json() if json else summary.text())
    raise typer.Exit(summary.exit_code)


def eval_command(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            envvar=arguments.DATA_DIR_VARIABLE,
            help="What a peer, or `murmur train`, saved; or a folder: the run in it that was written to last.",
        ),
    ] = Path("runs"),
    episodes: Annotated[int, typer.Option(min=1, max=100_000, help="Greedy episodes to average.")] = 20,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the episodes.")] = 1_000_000_000,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, all returns in it.")] = False,  # noqa: FBT002
) -> None:
    """Evaluate a saved model by greedy episodes on fixed seeds. Prints mean return, standard deviation and range.

    The defaults are those of configs/config.yaml, so that the figure is the one that ended the run. Of a run that goes
    on, or was killed, it is the model of the newest snapshot.

    \b
    Examples:
      murmur eval  the last run in runs/
      murmur eval model.safetensors --episodes 100
    """
    exits.end_by_signals()
    from peer.evaluation import evaluate_file
    from peer.history.places import find_model

    file = exits.or_exit(lambda: find_model(model))
    if file != model:
        typer.echo(file, err=True)
    result = exits.or_exit(lambda: evaluate_file(file, episodes=episodes, seed=seed, device=device))
    exits.tell(result.json() if json else result.text())


def bench_command(
    what: Annotated[Literal["env", "train"], typer.Argument(help="env: stepping alone. train: PPO end to end.")],
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
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,  # noqa: FBT002
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


def _check_device(device: str, settings: "Config", overrides: list[str]) -> None:
    """Raises: ConfigError when the command line names another device, too."""
    given = [text for text in overrides if text.partition("=")[0].strip() == "compute.device"]
    if given and settings.compute.device != device:
        raise ConfigError(f"--device {device} contradicts {given[-1]}: give one of them")
