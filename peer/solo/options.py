"""What the command line of `murmur train` says beside the configuration."""

from dataclasses import dataclass
from pathlib import Path

from peer.solo.start_model import StartModel


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What is typed.

    max_env_steps: bound on training; None: none. eval_env_steps: between evaluations; None: the growing schedule.
    model_file: None: in storage.data_dir, in a folder named after the run and all that decides what is learned.
    plot: PNG file; None: none. curve_file: JSON lines; None: beside a model whose file is not named, else none.
    tensorboard: folder in which the run gets one of its own; None: none, or, in a run that goes on, as before.
    start: what the run begins with; None: random weights.
    """

    max_env_steps: int | None = None
    eval_env_steps: int | None = None
    model_file: Path | None = None
    plot: Path | None = None
    curve_file: Path | None = None
    tensorboard: Path | None = None
    start: StartModel | None = None
