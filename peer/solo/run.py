"""Train one learner until it is good enough, out of steps, or told to stop; who watches is somebody else's matter."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from peer.agents.updates import GatheredUpdates, UpdateMeans
from peer.errors import EnvFailedError, EnvStoppedError
from peer.native import EnvVariant, NonFiniteError, PpoTrainStats
from peer.solo.schedule import EvalSchedule
from peer.types import Seconds, UpdateStats

CHUNK_S = 0.25
"""The longest that a stop request waits and a display stands still. Chunks end between iterations, so that how a run
is cut into them changes nothing in it."""

StopReason = Literal["return", "env_steps", "interrupted", "diverged", "env_failed"]


class Learner(Protocol):
    """What a run needs of `peer.native.PpoAgent`."""

    def train(self, max_env_steps: int, max_seconds: float) -> PpoTrainStats: ...
    def evaluate(self, episodes: int, seed: int) -> float: ...
    def assign_variants(self, variants: Sequence[EnvVariant]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """When a run ends and what it does on the way.

    target: greedy mean return that ends it; None: no such end. max_env_steps: likewise; whole iterations are trained,
    so that the last one may go beyond. turns: shares of the envs, taken in turn from one evaluation to the next.
    """

    target: float | None
    max_env_steps: int | None
    next_eval: EvalSchedule
    eval_episodes: int
    eval_seed: int
    turns: Sequence[Sequence[EnvVariant]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One evaluation on the learning curve.

    train_s: seconds of training so far, evaluations left out. greedy_return: of this evaluation. train_return: mean of
    the training episodes since the point before, of which there were train_episodes; NaN when none ended. updates:
    of those since then.
    """

    env_steps: int
    train_s: Seconds
    greedy_return: float
    train_return: float
    train_episodes: int = 0
    updates: UpdateStats = field(default_factory=UpdateStats)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a run is, beside its learner: what another one needs to go on as if the first had not ended.

    next_eval: env steps at which the schedule evaluates next. turn: how many turns have begun. returns, episodes,
    updates: gathered since the last point of the curve.
    """

    env_steps: int = 0
    train_s: Seconds = 0.0
    next_eval: int = 0
    turn: int = 0
    returns: float = 0.0
    episodes: int = 0
    updates: GatheredUpdates = field(default_factory=GatheredUpdates)
    curve: tuple[Point, ...] = ()


@dataclass(slots=True)
class Progress:
    """How far a run is. train_return: as in `Point`, of the episodes so far since the last one."""

    env_steps: int = 0
    train_s: Seconds = 0.0
    train_return: float = math.nan
    curve: list[Point] = field(default_factory=list)

    @property
    def steps_per_s(self) -> float:
        return self.env_steps / self.train_s if self.train_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Why a run ended, and where. cause: what was wrong when it diverged, or the environment failed."""

    reason: StopReason
    progress: Progress
    cause: str = ""


class Run:
    """One run of one learner. `train` may be called once."""

    def __init__(
        self,
        learner: Learner,
        plan: Plan,
        *,
        stop: Callable[[], bool],
        trained: Callable[[Progress, PpoTrainStats], None],
        evaluated: Callable[[Progress], None],
        standing: Standing | None = None,
    ) -> None:
        """stop: asked between chunks. trained, evaluated: called after every chunk, with what it did, and after every
        evaluation.

        standing: where to go on; the learner is as it was then. None: at the beginning.
        """
        self._learner = learner
        self._plan = plan
        self._stop = stop
        self._trained = trained
        self._evaluated = evaluated
        begun = standing or Standing()
        self.progress = Progress(
            env_steps=begun.env_steps,
            train_s=begun.train_s,
            train_return=begun.returns / begun.episodes if begun.episodes else math.nan,
            curve=list(begun.curve),
        )
        self._returns = begun.returns
        self._episodes = begun.episodes
        self._updates = UpdateMeans(begun.updates)
        self._next_eval = begun.next_eval
        self._turn = begun.turn

    def train(self) -> Outcome:
        """Train to the end. The first point of the curve is the untrained policy's."""
        try:
            return Outcome(reason=self._train(), progress=self.progress)
        except NonFiniteError as error:
            return Outcome(reason="diverged", progress=self.progress, cause=str(error))
        except EnvFailedError as error:
            return Outcome(reason="env_failed", progress=self.progress, cause=str(error))
        except EnvStoppedError:
            return Outcome(reason="interrupted", progress=self.progress)

    def standing(self) -> Standing:
        """Return where the run is. Called between chunks, as from `trained` and `evaluated`, or after `train`."""
        return Standing(
            env_steps=self.progress.env_steps,
            train_s=self.progress.train_s,
            next_eval=self._next_eval,
            turn=self._turn,
            returns=self._returns,
            episodes=self._episodes,
            updates=self._updates.gathered,
            curve=tuple(self.progress.curve),
        )

    def _train(self) -> StopReason:
        while True:
            if not self._is_evaluated() and (self._is_scheduled() or self._out_of_steps()):
                self._evaluate()
            if self._is_solved():
                return "return"
            if self._out_of_steps():
                return "env_steps"
            if self._is_scheduled():
                self._begin_stretch()
            if not self._train_until(self._next_stop()):
                return "interrupted"

    def _begin_stretch(self) -> None:
        """Give the next variants their turn, until the next evaluation."""
        turns = self._plan.turns
        if len(turns) > 1 or self._turn == 0:
            self._learner.assign_variants(turns[self._turn % len(turns)])
        self._turn += 1
        self._next_eval = self._plan.next_eval(self.progress.env_steps)

    def _next_stop(self) -> int:
        limit = self._plan.max_env_steps
        return self._next_eval if limit is None else min(self._next_eval, limit)

    def _train_until(self, env_steps: int) -> bool:
        """Train in chunks; return False when told to stop before `env_steps`."""
        while (left := env_steps - self.progress.env_steps) > 0:
            if self._stop():
                return False
            stats = self._learner.train(left, CHUNK_S)
            self._add(stats)
            self._trained(self.progress, stats)
        return True

    def _add(self, stats: PpoTrainStats) -> None:
        self.progress.env_steps += stats.env_steps
        self.progress.train_s += stats.wall_s
        self._updates.add(stats, env_steps=stats.env_steps)
        if stats.episodes:
            self._returns += stats.mean_return * stats.episodes
            self._episodes += stats.episodes
            self.progress.train_return = self._returns / self._episodes

    def _evaluate(self) -> None:
        greedy = self._learner.evaluate(self._plan.eval_episodes, self._plan.eval_seed)
        self.progress.curve.append(
            Point(
                env_steps=self.progress.env_steps,
                train_s=self.progress.train_s,
                greedy_return=greedy,
                train_return=self._returns / self._episodes if self._episodes else math.nan,
                train_episodes=self._episodes,
                updates=self._updates.take(),
            )
        )
        self._returns, self._episodes = 0.0, 0
        self._evaluated(self.progress)

    def _is_evaluated(self) -> bool:
        curve = self.progress.curve
        return bool(curve) and curve[-1].env_steps == self.progress.env_steps

    def _is_scheduled(self) -> bool:
        """An evaluation at the bound may come before the schedule's next one, which a run that goes on keeps to."""
        return self.progress.env_steps >= self._next_eval

    def _is_solved(self) -> bool:
        target = self._plan.target
        return target is not None and self._is_evaluated() and self.progress.curve[-1].greedy_return >= target

    def _out_of_steps(self) -> bool:
        limit = self._plan.max_env_steps
        return limit is not None and self.progress.env_steps >= limit
