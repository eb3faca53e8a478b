"""`murmur train`: from the configuration to a saved model, a summary and, if wanted, a picture."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from peer.agents.native_agent import env_variants
from peer.config.schema import Config
from peer.native import EnvVariant, PpoAgent, PpoSettings, make_ppo_agent, to_moments
from peer.policy_description import describe_policy
from peer.settings import ppo_settings
from peer.solo.curve_file import CURVE_FILE, CurveFile
from peer.solo.display import make_display
from peer.solo.interrupt import Interrupt
from peer.solo.plot import check_plot, draw_curve
from peer.solo.run import Plan, Progress, Run
from peer.solo.schedule import every, growing
from peer.solo.settings_file import SETTINGS_FILE, save_settings
from peer.solo.summary import Summary
from peer.storage.failures import check_writable_file
from peer.storage.model_file import MODEL_FILE, ModelFile, save_model
from peer.tasks.catalogue import env_tasks
from peer.types import ModelState, PeerId
from peer.wire.hashing import model_hash

_DIGEST_DIGITS = 8

_SOLO = PeerId("solo")
"""Stands where a peer's identity would be mixed into the seeds: equal seeds give equal runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What the command line says beside the configuration.

    max_env_steps: bound on training; None: none. eval_env_steps: between evaluations; None: the growing schedule.
    model_file: None: in storage.data_dir, in a folder named after the run and all that decides what is learned.
    plot: PNG file; None: none. curve_file: JSON lines; None: beside a model whose file is not named, else none.
    """

    max_env_steps: int | None = None
    eval_env_steps: int | None = None
    model_file: Path | None = None
    plot: Path | None = None
    curve_file: Path | None = None

    @property
    def arguments(self) -> str:
        """Return those that decide what is learned, as they are typed."""
        steps = {"--env-steps": self.max_env_steps, "--eval-steps": self.eval_env_steps}
        return " ".join(f"{name} {value}" for name, value in steps.items() if value is not None)


def train_solo(config: Config, options: TrainOptions) -> Summary:
    """Train, and save what was learned also when interrupted or diverged.

    Raises: ValueError, StorageError before training when something could not be used after it.
    """
    if options.plot is not None:
        check_plot(options.plot)
    model_file = options.model_file or _default_model_file(config, options)
    curve_file = options.curve_file or (model_file.with_name(CURVE_FILE) if options.model_file is None else None)
    _check_distinct({"-o": model_file, "--plot": options.plot, "--curve": curve_file})
    check_writable_file("write the model", model_file)
    if options.model_file is None:
        save_settings(model_file.with_name(SETTINGS_FILE), config, options.arguments)
    curve = CurveFile(curve_file)
    settings = ppo_settings(config, _SOLO)
    agent = make_ppo_agent(config.env.name, settings)
    keeper = _Keeper(config, agent, model_file)
    with Interrupt(at_last=keeper.save_trained) as interrupt:
        return _train_and_save(config, options, agent, keeper, curve, interrupt)


def _train_and_save(
    config: Config,
    options: TrainOptions,
    agent: PpoAgent,
    keeper: "_Keeper",
    curve: CurveFile,
    interrupt: Interrupt,
) -> Summary:
    settings = ppo_settings(config, _SOLO)
    start = time.monotonic()
    display = make_display(config.env.name, target=config.stop.mean_return, max_env_steps=options.max_env_steps)

    def evaluated(progress: Progress) -> None:
        keeper.keep(progress)
        curve.add(progress.curve[-1])
        display.evaluated(progress)

    run = Run(
        agent,
        _plan(config, options, settings),
        stop=interrupt.requested,
        trained=display.trained,
        evaluated=evaluated,
    )
    with display:
        outcome = interrupt.while_doing(run.train)
    if outcome.reason != "diverged":
        keeper.keep(outcome.progress)
    summary = Summary(
        config=config,
        settings=settings,
        backend=agent.backend_name,
        outcome=outcome,
        wall_s=time.monotonic() - start,
        model_file=keeper.path,
        model_env_steps=keeper.env_steps,
        replaced=keeper.path.exists(),
        curve_file=curve,
        plot=options.plot,
    )
    keeper.save()
    if options.plot is not None:
        draw_curve(
            options.plot,
            outcome.progress.curve,
            title=f"{config.env.name}, {agent.backend_name}, seed {config.run.seed}",
            target=config.stop.mean_return,
        )
    return summary


class _Keeper:
    """Holds the newest model that is known to be sound: of the last evaluation, or of the end."""

    def __init__(self, config: Config, agent: PpoAgent, path: Path) -> None:
        self.path = path
        self._config = config
        self._agent = agent
        self.keep(Progress())

    @property
    def env_steps(self) -> int:
        return self._kept[1]

    def keep(self, progress: Progress) -> None:
        state = ModelState(params=self._agent.get_params(), moments=to_moments(self._agent.moments()))
        self._kept = state, progress.env_steps  # at once: another thread may save meanwhile

    def save(self) -> None:
        """Raises: StorageError."""
        state, env_steps = self._kept
        save_model(self.path, ModelFile(state=state, settings=_description(self._config, state, env_steps)))

    def save_trained(self) -> None:
        """Save, unless nothing was evaluated since the first weights. Raises: StorageError."""
        if self.env_steps > 0:
            self.save()


def _plan(config: Config, options: TrainOptions, settings: PpoSettings) -> Plan:
    return Plan(
        target=config.stop.mean_return,
        max_env_steps=options.max_env_steps,
        next_eval=growing if options.eval_env_steps is None else every(options.eval_env_steps),
        eval_episodes=config.stop.episodes,
        eval_seed=config.stop.seed,
        turns=_turns(config, num_envs=settings.num_envs),
    )


def _turns(config: Config, *, num_envs: int) -> Sequence[Sequence[EnvVariant]]:
    """Share the envs out over all variants; with more variants than envs, over the next ones in turn."""
    tasks = env_tasks(config.env)
    return [env_variants(tasks[start : start + num_envs], num_envs) for start in range(0, len(tasks), num_envs)]


def _default_model_file(config: Config, options: TrainOptions) -> Path:
    """Return a file that only a run of the same settings writes, too.

    The digest that peers compare would not do: it leaves out what each of them may choose, as the learning rate.
    """
    values = config.model_dump(mode="json")
    settings = {
        **{section: values[section] for section in ("run", "env", "model", "ppo", "stop")},
        **{key: values["compute"][key] for key in ("device", "backend")},
        "env_steps": options.max_env_steps,
        "eval_steps": options.eval_env_steps,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    name = f"{config.run.name}-{digest[:_DIGEST_DIGITS]}"
    return Path(config.storage.data_dir) / "train" / name / MODEL_FILE


def _description(config: Config, state: ModelState, env_steps: int) -> dict[str, str]:
    """Return what it takes to rebuild the policy, and where the model comes from."""
    return {
        **describe_policy(config),
        "run": config.run.name,
        "env_steps": str(env_steps),
        "model_hash": model_hash(state).hex(),
    }


def _check_distinct(files: dict[str, Path | None]) -> None:
    """Raises: ValueError when two options name one file, of which one would be lost."""
    named: dict[Path, str] = {}
    for option, path in files.items():
        if path is not None and (other := named.setdefault(path.resolve(), option)) != option:
            raise ValueError(f"{other} and {option} both name {path}: give each a file of its own")
