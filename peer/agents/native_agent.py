"""The learner of a real peer: PPO in C++, trained in a worker thread of lower priority with the GIL released."""

import hashlib
import math
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from peer.agents.priority import DEFAULT_NICE, give_way, made_giving_way
from peer.agents.updates import UpdateMeans
from peer.bounded_file import read_bounded
from peer.errors import EnvStoppedError, StorageError
from peer.native import (
    CheckpointError,
    EnvVariant,
    PpoAgent,
    PpoSettings,
    PpoTrainStats,
    VectorEnv,
    make_ppo_agent,
    to_moments,
)
from peer.python_envs.stopping import stoppable
from peer.types import Digest, EnvTask, ModelSchema, ModelState, Moments, Seconds, TaskReturn, TrainStats

_CHUNK_S = 0.5
"""Cancellation waits for the running chunk; half a second keeps a peer's clean stop brisk."""

_NO_STEP_LIMIT = 2**62

T = TypeVar("T")


class NativeAgent:
    """Implements `peer.agents.agent.Agent` on the C++ core.

    Raises: ValueError for an unknown env or a setting out of range, naming it.
    """

    def __init__(self, env_name: str, *, settings: PpoSettings, nice: int = DEFAULT_NICE) -> None:
        """nice: how far training, whose threads are all of this agent's, gives way to other work of the machine."""
        self._core: PpoAgent = made_giving_way(nice, lambda: make_ppo_agent(env_name, settings))
        self._nice = nice
        self._env_name = env_name
        self._num_envs = settings.num_envs
        self._tasks: tuple[EnvTask, ...] = ()
        self._turn: tuple[EnvTask, ...] = ()
        self._turn_is_over = False
        self._first_task = 0
        self._schema = ModelSchema(
            num_params=self._core.num_params,
            num_moments=self._core.num_moments,
            tensors=tuple(self._core.tensors),
            digest=Digest(hashlib.sha256(self._core.schema_text.encode()).digest()),
        )

    @property
    def schema(self) -> ModelSchema:
        return self._schema

    @property
    def backend_name(self) -> str:
        """Say what computes and where, such as "libtorch on cpu"."""
        return self._core.backend_name

    @property
    def env_steps(self) -> int:
        """Count the env steps trained on in this agent's life, checkpoints included."""
        return self._core.env_steps

    def model(self) -> ModelState:
        return ModelState(params=self._core.get_params(), moments=to_moments(self._core.moments()))

    def set_model(self, state: ModelState) -> None:
        moments = state.moments
        self._core.set_model(state.params, moments.count, moments.mean, moments.m2)

    def new_moments(self) -> Moments:
        return to_moments(self._core.new_moments())

    def set_tasks(self, tasks: tuple[EnvTask, ...]) -> None:
        """Share the envs out evenly. With more tasks than envs, each `train` takes the next ones in turn.

        Raises: as the protocol says; the tasks then stay as they were.
        """
        if not tasks:
            raise ValueError("set_tasks needs at least one task: the envs must train on something")
        trial = VectorEnv(self._env_name, 1, 0)
        for task in tasks:  # all of them now, also those whose turn comes later
            trial.assign_variants(env_variants((task,), 1))
        self._tasks = tasks
        self._first_task = 0
        self._take_turn()

    async def train(self, *, seconds: Seconds) -> TrainStats:
        if not seconds > 0:
            raise ValueError(f"train needs seconds > 0, got {seconds}")
        if self._turn_is_over and len(self._tasks) > self._num_envs:
            self._take_turn()
        self._turn_is_over = True
        chunks = math.ceil(seconds / _CHUNK_S)
        done: list[PpoTrainStats] = []
        left_s = seconds
        for chunks_left in range(chunks, 0, -1):
            stats = await _in_thread(partial(self._train_chunk, max(left_s, 1e-6) / chunks_left))
            done.append(stats)
            left_s -= stats.wall_s
            if left_s <= 0:
                break
        return _summarize(done, self._turn)

    async def evaluate(self, *, episodes: int, seed: int) -> float:
        return await _in_thread(partial(self._evaluate, episodes, seed))

    def _train_chunk(self, seconds: Seconds) -> PpoTrainStats:
        give_way(self._nice)  # the thread is trio's, which keeps it for other work that can wait as well: disks
        return self._core.train(_NO_STEP_LIMIT, seconds)

    def _evaluate(self, episodes: int, seed: int) -> float:
        give_way(self._nice)
        return self._core.evaluate(episodes, seed)

    def training_state(self) -> bytes:
        return self._core.save()

    def load(self, path: Path) -> None:
        try:
            self._core.load(read_bounded(path))
            self._turn, self._turn_is_over = (), True  # the envs are on variants of an earlier life now
        except OSError as error:
            raise StorageError(f"cannot read training state {path}: {error}") from error
        except CheckpointError as error:
            raise StorageError(
                f"training state {path} cannot be used: {error}; remove the file to start training state afresh"
            ) from error

    def _take_turn(self) -> None:
        """Give the envs to the next tasks in turn; all of them when there are enough envs."""
        count = min(len(self._tasks), self._num_envs)
        turn = tuple(self._tasks[(self._first_task + i) % len(self._tasks)] for i in range(count))
        self._core.assign_variants(env_variants(turn, self._num_envs))
        self._turn, self._turn_is_over = turn, False
        self._first_task = (self._first_task + count) % len(self._tasks)


async def _in_thread(work: Callable[[], T]) -> T:
    """Do `work` in a thread. Once we are cancelled, environments that are written in Python make no further step.

    The thread is not abandoned: it works on the agent, and the caller must get that back at rest.
    """
    cancelled = threading.Event()

    def stoppable_work() -> T:
        with stoppable(cancelled.is_set):
            return work()

    while True:
        cancelled.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_set_when_cancelled, cancelled)
            try:
                return await trio.to_thread.run_sync(stoppable_work)
            except Exception as error:  # raised below, where no nursery puts it into a group
                failure = error
            finally:
                nursery.cancel_scope.cancel()
        if not isinstance(failure, EnvStoppedError):
            raise failure
        # Else an earlier call was stopped, in an iteration that was not its first: this one has not begun.


async def _set_when_cancelled(event: threading.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        event.set()


def env_variants(tasks: tuple[EnvTask, ...], num_envs: int) -> list[EnvVariant]:
    """Split `num_envs` over at most as many tasks; the first ones get the odd envs. What `assign_variants` takes."""
    share, odd = divmod(num_envs, len(tasks))
    return [
        EnvVariant(
            params=task.params,
            seed_start=task.seed_start,
            seed_end=task.seed_end,
            count=share + (1 if i < odd else 0),
        )
        for i, task in enumerate(tasks)
    ]


def _summarize(chunks: list[PpoTrainStats], tasks: tuple[EnvTask, ...]) -> TrainStats:
    """Add up what chunks did. tasks: in the order of the core's variants."""
    env_steps = sum(chunk.env_steps for chunk in chunks)
    episodes = sum(chunk.episodes for chunk in chunks)
    returns = sum(chunk.mean_return * chunk.episodes for chunk in chunks if chunk.episodes)
    lengths = sum(chunk.mean_length * chunk.episodes for chunk in chunks if chunk.episodes)
    updates = UpdateMeans()
    for chunk in chunks:
        updates.add(chunk, env_steps=chunk.env_steps)
    return TrainStats(
        env_steps=env_steps,
        episodes=episodes,
        mean_return=returns / episodes if episodes else math.nan,
        mean_length=lengths / episodes if episodes else math.nan,
        approx_kl=sum(chunk.approx_kl * chunk.env_steps for chunk in chunks) / env_steps if env_steps else 0.0,
        wall_s=sum(chunk.wall_s for chunk in chunks),
        tasks=tuple(_task_returns(chunks, tasks)),
        updates=updates.take(),
    )


def _task_returns(chunks: list[PpoTrainStats], tasks: tuple[EnvTask, ...]) -> Iterator[TaskReturn]:
    for index, task in enumerate(tasks):
        ended = [chunk.variants[index] for chunk in chunks if index < len(chunk.variants)]
        episodes = sum(variant.episodes for variant in ended)
        if episodes:
            returns = sum(variant.mean_return * variant.episodes for variant in ended if variant.episodes)
            yield TaskReturn(task_id=task.task_id, episodes=episodes, mean_return=returns / episodes)
