"""`murmur train`: from the configuration to a saved model, a summary and, if wanted, a picture."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from peer.agents.action_std import action_std
from peer.agents.first_model import tell_long_draw
from peer.agents.native_agent import env_variants
from peer.config.schema import Config
from peer.errors import StorageError
from peer.native import EnvVariant, PpoAgent, PpoTrainStats, make_ppo_agent
from peer.python_envs.names import is_python_env
from peer.settings import ppo_settings
from peer.solo.curve_file import CURVE_FILE, CurveFile
from peer.solo.display import make_display
from peer.solo.interrupt import Interrupt
from peer.solo.keeper import Keeper
from peer.solo.options import TrainOptions
from peer.solo.plot import draw_curve
from peer.solo.resumption import Resumption
from peer.solo.run import Outcome, Plan, Progress, Run, Standing
from peer.solo.run_files import RunFiles, default_model_file, model_ahead, what_is_replaced
from peer.solo.run_state import RunRecord, seen_from, settings_of
from peer.solo.schedule import every, growing
from peer.solo.summary import Summary
from peer.solo.tensorboard import TensorBoardRun, begin_folder, folder_to_go_on_in
from peer.tasks.catalogue import env_tasks
from peer.telemetry.plain_text import printable
from peer.telemetry.scalar_tags import settings_text
from peer.tensorboard_run import loss_weights
from peer.types import PeerId, Seconds

_SOLO = PeerId("solo")
"""Stands where a peer's identity would be mixed into the seeds: equal seeds give equal runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A run that can begin, or go on: its learner is where `record` stands, and what it writes to is open."""

    config: Config
    agent: PpoAgent
    record: RunRecord
    files: RunFiles
    curve: CurveFile
    tensorboard: TensorBoardRun
    keeper: Keeper


def train_solo(config: Config, options: TrainOptions, *, tell: Callable[[str], None] = lambda _: None) -> Summary:
    """Train, and save what was learned also when interrupted or diverged. tell: takes what the user should know first.

    Raises: ValueError, StorageError before training when something could not be used after it.
    """
    model_file = options.model_file or default_model_file(config, options)
    own_folder = options.model_file is None
    curve_file = options.curve_file or (model_file.with_name(CURVE_FILE) if own_folder else None)
    files = RunFiles(model=model_file, curve=curve_file, plot=options.plot)
    files.check(options)
    with files.held():
        return _train_and_save(_begun(config, options, files, own_folder=own_folder, tell=tell))


def go_on(resumption: Resumption, options: TrainOptions, *, tell: Callable[[str], None] = lambda _: None) -> Summary:
    """Train on as if the run had not ended; what `options` leaves open is as before.

    Raises: as above, also when the state cannot be used.
    """
    record = resumption.record(options)
    curve_file = None if record.curve_file is None else resumption.model_file.parent / record.curve_file
    files = RunFiles(model=resumption.model_file, curve=curve_file, plot=options.plot)
    files.check(options)
    with files.held():
        resumption.require_unchanged()
        return _train_and_save(_resumed(resumption, record, options, files, tell=tell))


def _begun(
    config: Config, options: TrainOptions, files: RunFiles, *, own_folder: bool, tell: Callable[[str], None]
) -> _Ready:
    model_file, curve_file = files.model, files.curve
    tensorboard = _own_tensorboard(config, options)
    record = RunRecord(
        settings=settings_of(config),
        max_env_steps=options.max_env_steps,
        eval_env_steps=options.eval_env_steps,
        origin=None if options.start is None else options.start.origin,
        model_name=model_file.name,
        curve_file=None if curve_file is None else seen_from(model_file.parent, curve_file),
        tensorboard=None if tensorboard is None else seen_from(model_file.parent, tensorboard),
        own_folder=own_folder,
        standing=Standing(),
    )
    if (earlier := what_is_replaced(model_file)) is not None:
        tell(earlier)
    curve = files.open(config, record)
    agent = _make_agent(config, tell)
    if options.start is not None:
        options.start.give(agent)
    keeper = Keeper(config, agent, model_file, record)
    return _Ready(
        config=config,
        agent=agent,
        record=record,
        files=files,
        curve=curve,
        tensorboard=_tensorboard(tensorboard, config, agent, record),
        keeper=keeper,
    )


def _resumed(
    resumption: Resumption, record: RunRecord, options: TrainOptions, files: RunFiles, *, tell: Callable[[str], None]
) -> _Ready:
    config, model_file, before = resumption.config, resumption.model_file, resumption.state.record
    tensorboard = _own_tensorboard(config, options)
    if tensorboard is not None:
        record = replace(record, tensorboard=seen_from(model_file.parent, tensorboard))
    elif record.tensorboard is not None:
        before_folder = model_file.parent / record.tensorboard
        tensorboard = folder_to_go_on_in(before_folder)
        if tensorboard is None:
            tell(f"murmur: {before_folder} has no TensorBoard files any more, so none are written; see --tensorboard")
    agent = _make_agent(config, tell)
    resumption.restore(agent)
    curve = files.open(config, record)
    tell(f"murmur: going on with {model_file} from env step {agent.env_steps:,}")
    ahead = model_ahead(model_file, env_steps=agent.env_steps)
    if ahead is not None:
        tell(ahead)
    for change in record.changes[len(before.changes) :]:
        tell(f"murmur: {change}")
    if agent.backend_name != before.backend:
        tell(
            f"murmur: computed by {printable(before.backend)} so far, by {agent.backend_name} from here on: results"
            " differ in the last digits from those of one back end alone"
        )
    keeper = Keeper(config, agent, model_file, record, resumed=True, is_behind=ahead is not None)
    return _Ready(
        config=config,
        agent=agent,
        record=record,
        files=files,
        curve=curve,
        tensorboard=_tensorboard(tensorboard, config, agent, record),
        keeper=keeper,
    )


def _make_agent(config: Config, tell: Callable[[str], None]) -> PpoAgent:
    settings = ppo_settings(config, _SOLO)
    tell_long_draw(config.env.name, settings, tell)
    return make_ppo_agent(config.env.name, settings)


def _own_tensorboard(config: Config, options: TrainOptions) -> Path | None:
    return None if options.tensorboard is None else begin_folder(options.tensorboard, config.run.name)


def _tensorboard(folder: Path | None, config: Config, agent: PpoAgent, record: RunRecord) -> TensorBoardRun:
    tasks = env_tasks(config.env)
    names, num_envs = [task.task_id for task in tasks], config.ppo.num_envs
    return TensorBoardRun(
        folder,
        begins_at=record.standing.env_steps,
        text=settings_text(settings_of(config)),
        weights=loss_weights(config),
        turns=[names[start : start + num_envs] for start in range(0, len(names), num_envs)],
        std=lambda: action_std(agent.tensors, agent.get_params),
    )


def _train_and_save(ready: _Ready) -> Summary:
    with Interrupt(at_last=ready.keeper.save_trained, python_env=is_python_env(ready.config.env.name)) as interrupt:
        outcome = _train(ready, interrupt)
        wall_s = ready.keeper.wall_s
        _save(ready.keeper)
        return _summary(ready, outcome, wall_s=wall_s)


def _save(keeper: Keeper) -> None:
    """Raises: StorageError when the disk refuses the model, saying where it is instead: a run may have taken days."""
    try:
        keeper.save()
    except StorageError as error:
        elsewhere = keeper.save_elsewhere()
        if elsewhere is None:
            raise
        raise StorageError(f"{error}; what was learned is kept as {elsewhere}") from error


def _train(ready: _Ready, interrupt: Interrupt) -> Outcome:
    """Train to the end; the keeper then holds what is to be saved."""
    config, keeper, record = ready.config, ready.keeper, ready.record
    display = make_display(
        config.env.name,
        target=config.stop.mean_return,
        max_env_steps=record.max_env_steps,
        before_s=record.wall_s,
    )

    def trained(progress: Progress, stats: PpoTrainStats) -> None:
        standing = run.standing()
        if failure := keeper.save_if_due(standing):
            display.say(f"murmur: {failure}; training goes on, and tries again")
        ready.tensorboard.trained(progress, stats, turn=standing.turn)
        display.trained(progress)

    def evaluated(progress: Progress) -> None:
        keeper.keep(run.standing())
        ready.curve.add(progress.curve[-1])
        ready.tensorboard.evaluated(progress)
        display.evaluated(progress)

    run = Run(
        ready.agent,
        _plan(config, record),
        stop=interrupt.requested,
        trained=trained,
        evaluated=evaluated,
        standing=record.standing,
    )
    with display:
        outcome = interrupt.while_doing(run.train)
    ready.tensorboard.close(outcome.progress)
    if outcome.reason != "diverged":
        keeper.keep(run.standing())
    return outcome


def _summary(ready: _Ready, outcome: Outcome, *, wall_s: Seconds) -> Summary:
    """Draw the curve if that is wanted, and return what the run came to."""
    return Summary(
        config=ready.config,
        settings=ppo_settings(ready.config, _SOLO),
        backend=ready.agent.backend_name,
        outcome=outcome,
        wall_s=wall_s,
        model_env_steps=ready.keeper.env_steps,
        record=ready.record,
        resumed=ready.keeper.resumed,
        keeper=ready.keeper,
        curve_file=ready.curve,
        tensorboard=ready.tensorboard,
        plot=ready.files.plot,
        plot_failure=_draw(ready.files.plot, outcome, ready.config, backend=ready.agent.backend_name),
    )


def _draw(plot: Path | None, outcome: Outcome, config: Config, *, backend: str) -> str:
    """Draw the curve if that is wanted; return why it could not be. What was learned is saved already."""
    try:
        if plot is not None:
            title = f"{config.env.name}, {backend}, seed {config.run.seed}"
            draw_curve(plot, outcome.progress.curve, title=title, target=config.stop.mean_return)
    except StorageError as error:
        return str(error)
    return ""


def _plan(config: Config, record: RunRecord) -> Plan:
    return Plan(
        target=config.stop.mean_return,
        max_env_steps=record.max_env_steps,
        next_eval=growing if record.eval_env_steps is None else every(record.eval_env_steps),
        eval_episodes=config.stop.episodes,
        eval_seed=config.stop.seed,
        turns=_turns(config, num_envs=config.ppo.num_envs),
    )


def _turns(config: Config, *, num_envs: int) -> Sequence[Sequence[EnvVariant]]:
    """Share the envs out over all variants; with more variants than envs, over the next ones in turn."""
    tasks = env_tasks(config.env)
    return [env_variants(tasks[start : start + num_envs], num_envs) for start in range(0, len(tasks), num_envs)]
