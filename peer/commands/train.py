"""`murmur train`: one learner, without a network."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from peer.commands import arguments, exits
from peer.config.unread import check_read
from peer.errors import ConfigError

UNREAD = {
    **dict.fromkeys(
        ("round.", "aggregation.", "network.", "stop.linger_s"), "one learner has no swarm, `murmur peer` has"
    ),
    "storage.data_dir": "",
    "storage.": "one learner has no slot, `murmur peer` has",
    "log.tensorboard": "say --tensorboard FOLDER",
    "log.": "one learner has no log, `murmur peer` has",
    "stop.max_rounds": "one learner has no rounds: say --env-steps N",
    "compute.nice": "only peers give way to other work: say `nice murmur train`",
}
"""Settings that one learner has no use for, and what does instead."""

if TYPE_CHECKING:
    from peer.config.schema import Config
    from peer.config.sources import Base
    from peer.solo.resumption import Resumption
    from peer.solo.start_model import StartModel


def train_command(
    *,
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
    tensorboard: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write what TensorBoard shows into a folder of the run's own in FOLDER: <run.name>_1, _2 and so on. "
            "With --resume, default: where the run has written so far.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run of -o, or with the last one below storage.data_dir/train, from where it ended. "
            "Settings are the run's own; --env-steps counts from its beginning.",
        ),
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Begin a new run with the weights and statistics of a saved model, or of the last one in a folder.",
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda: short for compute.device=.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, the curve in it.")] = False,
    overrides: arguments.LearnerOverrides = None,
) -> None:
    """Train one learner on this machine, without a network. It trains until it reaches stop.mean_return.

    Equal seeds give equal models. Ctrl-C saves what was learned so far; a second one ends at once. --resume goes on as
    if the run had never ended. Progress goes to stderr, the summary to stdout. Exit code: 0 when solved, out of steps
    or stopped, 1 when training diverged or its environment in Python failed, 2 when it cannot start.

    \b
    Examples:
      murmur train  CartPole-v1 to a mean return of 475
      murmur train -c configs/pendulum.yaml --plot pendulum.png
      murmur train --env-steps 100000 stop.mean_return=null run.seed=7
      murmur train --tensorboard tb     then: tensorboard --logdir tb
      murmur train --resume --env-steps 200000
      murmur train --from runs/slot-0 ppo.learning_rate=1e-4
    """
    exits.end_by_signals()  # until something is learned
    if resume and start is not None:
        exits.refuse("--from begins a new run, --resume goes on with one: give one of them")
    if device is not None:
        exits.or_exit(lambda: _check_device(device, overrides or []))
        overrides = [*(overrides or ()), f"compute.device={device}"]
    from peer.solo.options import TrainOptions
    from peer.solo.train import go_on, train_solo

    options = TrainOptions(
        max_env_steps=env_steps,
        eval_env_steps=eval_steps,
        model_file=model,
        plot=plot,
        curve_file=curve,
        tensorboard=tensorboard,
    )
    exits.or_exit(lambda: check_read(overrides or [], UNREAD))
    if resume:
        found = exits.or_exit(lambda: _run_to_go_on_with(model, config, overrides))
        summary = exits.or_exit(lambda: go_on(found, options, tell=exits.note))
    else:
        settings, begun = exits.or_exit(lambda: _settings_and_start(start, config, overrides))
        summary = exits.or_exit(lambda: train_solo(settings, replace(options, start=begun), tell=exits.note))
    if json and summary.plot_failure:
        exits.note(f"murmur: {summary.plot_failure}")
    exits.tell(summary.json() if json else summary.text())
    raise typer.Exit(summary.exit_code)


def _settings_and_start(
    start: Path | None, files: list[Path] | None, overrides: list[str] | None
) -> "tuple[Config, StartModel | None]":
    """Return what a new run is trained with. What `start` was trained with stands for the defaults.

    Raises: ConfigError, StorageError.
    """
    from peer.config.goal import stray_goal

    begun = None
    if start is None:
        settings = arguments.load(files, overrides)
    else:
        begun = _start_model(start)
        settings = arguments.load_over(_base_of(begun), files, overrides)
        begun.check_fits(settings)
    if (odd := stray_goal(settings)) is not None:
        exits.note(f"murmur: {odd.text()}")
    return settings, begun


def _start_model(path: Path) -> "StartModel":
    from peer.history.places import find_model
    from peer.solo.start_model import load_start_model

    file = find_model(path)
    if file != path:
        exits.note(f"murmur: beginning with {file}")
    return load_start_model(file)


def _base_of(start: "StartModel") -> "Base":
    from peer.config.overrides import differing
    from peer.config.schema import Config
    from peer.config.sources import Base

    usual = differing(arguments.default_settings(), bases=[Config()])
    return Base(source=str(start.path), lines=[*usual, *start.usual])


def _run_to_go_on_with(model: Path | None, files: list[Path] | None, overrides: list[str] | None) -> "Resumption":
    """Return the run whose model is `model`; None: the last one. Raises: ConfigError, StorageError."""
    from peer.solo.resumption import resume_at, resume_last

    def load(base: "Base") -> "Config":
        return arguments.load_over(base, files, overrides)

    if model is not None:
        return resume_at(model, load)
    return resume_last(arguments.data_dir(files, overrides), load)


def _check_device(device: str, overrides: list[str]) -> None:
    """Raises: ConfigError when the command line names another device, too."""
    given = [text for text in overrides if text.partition("=")[0].strip() == "compute.device"]
    if given and given[-1].partition("=")[2].strip() != device:
        raise ConfigError(f"--device {device} contradicts {given[-1]}: give one of them")
