"""`murmur eval`: how well a saved model does."""

from pathlib import Path
from typing import Annotated

import typer

from peer.commands import arguments, exits


def eval_command(
    *,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            envvar=arguments.DATA_DIR_VARIABLE,
            help="What a peer, or `murmur train`, saved; or a folder: the run in it that was written to last.",
        ),
    ] = arguments.DEFAULT_DATA_DIR,
    episodes: Annotated[
        int,
        typer.Option(
            parser=arguments.whole_number_from(1, to=100_000),
            metavar="N",
            help="Greedy episodes to average, up to 100000.",
        ),
    ] = 20,
    seed: Annotated[
        int,
        typer.Option(
            parser=arguments.whole_number_from(0, to=2**63 - 1),
            metavar="N",
            help="Seed of the episodes, 0 to 2^63 - 1.",
        ),
    ] = 1_000_000_000,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    env: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The environment, such as my_package:Grid-v0: needed where the file names one whose module is neither "
            "ours nor Gymnasium's, since that is imported.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object, all returns in it.")] = False,
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
        exits.note(str(file))
    result = exits.or_exit(
        lambda: evaluate_file(file, episodes=episodes, seed=seed, device=device, env=env, tell=exits.note)
    )
    exits.tell(result.json() if json else result.text())
