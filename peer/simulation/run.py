"""Run a scenario from beginning to end, and say how far it is."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from peer.common_model import aggregation
from peer.config.schema import Config
from peer.native import AggregationKernels
from peer.rounds.machine import Aggregate
from peer.simulation.arguments import ended
from peer.simulation.learner import Subject
from peer.simulation.outcome import result_of
from peer.simulation.result import Result
from peer.simulation.scenario import Scenario
from peer.simulation.swarm import Swarm
from peer.simulation.toy import ToySubject
from peer.telemetry.plain_text import plural
from peer.telemetry.spare_stream import spare_stderr

_LOOK_VIRTUAL_S = 1.0
_SAY_EVERY_S = 2.0
_OBJECTS_TO_COLLECT = 1_000_000

Progress = Callable[[Swarm], None]


def simulate(
    scenario: Scenario,
    *,
    subject: Subject | None = None,
    aggregate: Aggregate | None = None,
    config: Config | None = None,
    progress: Progress | None = None,
) -> Result:
    """Run `scenario` and judge it. subject: what is learned; None: the toy.

    aggregate: None: that of the configuration. config: None: the defaults. progress: told every virtual second.
    """
    subject = subject or ToySubject(seed=scenario.seed, num_params=scenario.num_params)
    config = config or Config()
    aggregate = aggregate or aggregation(config, AggregationKernels())
    swarm = Swarm(ended(scenario), subject, aggregate, config=config)
    if progress is not None:
        _tell(swarm, progress)
    with _rare_collections():
        swarm.run()
    return result_of(swarm)


class ProgressLines:
    """Writes a line every other second of real time: where the swarm is, and how it is doing."""

    def __init__(self) -> None:
        self._stream = spare_stderr()
        self._started = self._said = time.monotonic()

    def __call__(self, swarm: Swarm) -> None:
        now = time.monotonic()
        if now - self._said < _SAY_EVERY_S:
            return
        self._said = now
        honest = swarm.judge.honest()
        tips = sorted(peer.tip.round for peer in honest)
        alive = sum(peer.is_alive for peer in swarm.peers)
        self._stream.write(
            f"{swarm.loop.now:7.1f} s | round {tips[len(tips) // 2]} of {swarm.scenario.rounds}"
            f" | {alive}/{len(swarm.peers)} peers up | {plural(swarm.judge.forks, 'fork')}"
            f" | {len(swarm.judge.divergent)} divergent | {now - self._started:.0f} s of real time\n"
        )
        self._stream.flush()


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for cyclic garbage seldom: a run leaves hardly any, and every look goes through all that the peers hold."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_TO_COLLECT, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _tell(swarm: Swarm, progress: Progress) -> None:
    def look() -> None:
        if swarm.judge.honest():
            progress(swarm)
        swarm.loop.after(_LOOK_VIRTUAL_S, look)

    swarm.loop.after(_LOOK_VIRTUAL_S, look)
