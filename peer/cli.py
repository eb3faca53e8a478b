"""The command `murmur`: everything a user types. A problem of config, disk or network is one message and exit 2."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

import peer
from peer.config.load import load_config
from peer.config.schema import Config
from peer.errors import ConfigError, StorageError, TransportError

_PROCESS_START = time.monotonic()
DEFAULT_CONFIG = Path("configs/config.yaml")
EXIT_USAGE = 2

T = TypeVar("T")

app = typer.Typer(
    name="murmur",
    help="Train one reinforcement-learning policy on many machines with nobody in charge.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--config",
        "-c",
        help="YAML file; give it again to lay a preset over it. Default: configs/config.yaml where there is one, "
        "else the built-in defaults, which are the same.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SECTION.KEY=VALUE]...",
        help="Settings that win over files and MURMUR_SECTION__KEY variables, such as round.train_s=1.",
    ),
]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,  # noqa: FBT002  # typer's way to declare a flag
) -> None:
    if version:
        typer.echo(f"murmuration {peer.__version__}")
        raise typer.Exit


@app.command("peer")
def peer_command(config: ConfigFiles = None, overrides: Overrides = None) -> None:
    """Run one peer in the foreground until the swarm is done or Ctrl-C.

    It trains at once, alone if need be, and merges with the peers it finds by network.dns and network.addresses.
    Identity and state live in storage.data_dir/slot-N; the lowest slot that no other process holds is taken.

    Example, two machines:  murmur peer network.addresses='[/ip4/192.0.2.7/tcp/4001]'
    """
    from peer.process import PeerProcess  # loads libtorch and libp2p: -h and --version must not wait for it

    settings = _load(config, overrides)
    raise typer.Exit(_or_exit(lambda: PeerProcess(settings, process_start=_PROCESS_START).run()))


@app.command("up")
def up_command(
    peers: Annotated[int, typer.Option("--peers", "-n", min=1, max=64, help="How many peer processes.")] = 3,
    config: ConfigFiles = None,
    base_port: Annotated[int, typer.Option(min=0, max=65_000, help="First port on 127.0.0.1; 0 picks free ones.")] = 0,
    overrides: Overrides = None,
) -> None:
    """Run a swarm on this machine: peer processes on loopback, their logs interleaved. Ctrl-C stops all of them.

    Every peer is told the addresses of all; none is special. Kill one with `kill -9` and watch the others go on.
    """
    from peer.local_swarm import LocalSwarm

    settings = _load(config, overrides)  # all problems are told once, here, not by every peer
    swarm = LocalSwarm(
        peers=peers,
        base_port=base_port,
        arguments=_arguments(config, overrides),
        data_dir=Path(settings.storage.data_dir),
    )
    raise typer.Exit(_or_exit(swarm.run))


@app.command("eval")
def eval_command(
    model: Annotated[Path, typer.Argument(help="A model.safetensors that a finished run has saved.")],
    episodes: Annotated[int, typer.Option(min=1, max=100_000, help="Greedy episodes to average.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first episode.")] = 1_000_000_000,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Evaluate a saved model: the mean return of greedy episodes on fixed seeds.

    Example:  murmur eval runs/slot-0/model.safetensors --episodes 100
    """
    from peer.evaluation import evaluate_file

    typer.echo(_or_exit(lambda: evaluate_file(model, episodes=episodes, seed=seed, device=device)))


def _load(files: list[Path] | None, overrides: list[str] | None) -> Config:
    from peer.native import known_envs

    return _or_exit(lambda: load_config(_files(files), os.environ, overrides or [], known_envs=known_envs()))


def _files(files: list[Path] | None) -> list[Path]:
    if files:
        return files
    return [DEFAULT_CONFIG] if DEFAULT_CONFIG.exists() else []


def _arguments(files: list[Path] | None, overrides: list[str] | None) -> list[str]:
    """Return the arguments that make `murmur peer` read what we have read."""
    options = [part for file in _files(files) for part in ("--config", str(file))]
    return [*options, *(overrides or [])]


def _or_exit(action: Callable[[], T]) -> T:
    """Turn an expected failure into its message and exit code 2; a bug keeps its traceback."""
    try:
        return action()
    except (ConfigError, StorageError, TransportError, ValueError) as error:
        typer.echo(f"murmur: {error}", err=True)
        raise typer.Exit(EXIT_USAGE) from error


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
