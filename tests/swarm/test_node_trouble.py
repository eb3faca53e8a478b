"""Trouble inside one peer of a swarm: a learner that diverges, hangs or crashes, and a clock that lies."""

import ast
import math
import time
from pathlib import Path

import numpy as np
import pytest
import trio

import peer
from peer.agents.numpy_agent import NumpyAgent
from peer.telemetry.peer_events import MessageRefused
from peer.telemetry.process_events import Waiting
from peer.telemetry.round_events import TrainingDiverged, WorkDropped
from peer.types import Seconds, TrainStats
from tests.swarm.node_swarm import NodeSwarm, check_finals, demo_config, play

ENDLESS = demo_config(stop={"mean_return": None, "max_rounds": None})
PEER = Path(peer.__file__).parent


class TroubledAgent(NumpyAgent):
    """Goes wrong in its calls of `train` number `first` to `last`, in the way that `kind` names."""

    kind = "nan"
    first, last = 6, 9
    calls = 0

    async def train(self, *, seconds: Seconds) -> TrainStats:
        self.calls += 1
        if not self.first <= self.calls <= self.last:
            return await super().train(seconds=seconds)
        if self.kind == "raises":
            await trio.lowlevel.checkpoint()
            raise ArithmeticError("the gradient of layer 2 is not finite")
        if self.kind == "hangs":
            await trio.sleep(1000.0)
        stats = await super().train(seconds=seconds)
        self._params[3] = {"nan": math.nan, "infinite": math.inf, "huge": 1e30}.get(self.kind, 0.0)
        if self.kind == "nan_return":
            return TrainStats(env_steps=500, episodes=2, mean_return=math.nan, approx_kl=math.nan, wall_s=seconds)
        return stats


def troubled(kind: str, *, last: int = 9) -> type[TroubledAgent]:
    return type("Troubled", (TroubledAgent,), {"kind": kind, "last": last})


@pytest.mark.filterwarnings("ignore:invalid value")  # of the learner that is meant to diverge
@pytest.mark.parametrize("kind", ["nan", "infinite", "huge", "raises"])
def test_training_that_diverges_is_reported_and_starts_again_from_the_common_model(kind: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        config = demo_config(stop={"mean_return": None, "max_rounds": 14, "linger_s": 20.0})
        async with NodeSwarm(3, seed=3, config=config, folder=tmp_path) as swarm:
            swarm.nodes[0].agent_type = troubled(kind)
            swarm.start()
            outcomes = await swarm.until_finished()
            assert len({outcome.tip.model for outcome in outcomes}) == 1
            state = outcomes[0].tip.state
            assert state is not None
            assert np.isfinite(state.params).all()
            assert np.abs(state.params).max() < 100
            assert 1 <= len(swarm.nodes[0].events(TrainingDiverged)) <= 4
            for other in swarm.nodes[1:]:
                assert not other.events(TrainingDiverged)
                assert not other.events(MessageRefused)  # nothing bad ever left the peer
            last_rounds = [sealed.env_steps for sealed in swarm.journal(1)][-5:]
            assert all(swarm.nodes[0].peer_id in admitted for admitted in last_rounds)

    play(3, scenario)


def test_returns_that_are_no_numbers_do_not_cost_the_delta(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with NodeSwarm(2, seed=3, config=ENDLESS, folder=tmp_path) as swarm:
            swarm.nodes[0].agent_type = troubled("nan_return")
            swarm.start()
            await swarm.until_round(8)
            await trio.sleep(0.5)
            assert not swarm.nodes[1].events(MessageRefused)
            assert all(len(sealed.env_steps) == 2 for sealed in swarm.journal(1))

    play(3, scenario)


def test_a_learner_that_always_diverges_neither_spins_nor_floods_the_log() -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=4, config=ENDLESS) as swarm:
            swarm.nodes[0].agent_type = troubled("raises", last=10**9)
            swarm.start()
            await trio.sleep(60.0)
            assert 30 <= len(swarm.nodes[0].events(TrainingDiverged)) <= 70
            sealed = [at for at, _ in swarm.nodes[1].times]
            assert len(sealed) >= 20  # it is waited for twice, and then no more
            assert swarm.nodes[0].last_round() == swarm.nodes[1].last_round()

    play(4, scenario)


def test_a_stuck_swarm_says_whom_it_waits_for() -> None:
    async def scenario() -> None:
        config = demo_config(stop={"mean_return": None}, round={"grace_s": 30.0}, log={"waiting_every_s": 5.0})
        async with NodeSwarm(3, seed=5, config=config) as swarm:
            swarm.nodes[2].agent_type = troubled("hangs")
            swarm.start()
            await swarm.until(lambda: len(swarm.nodes[0].events(Waiting)) >= 2, within_s=60.0)
            for node in swarm.nodes[:2]:
                waiting = node.events(Waiting)
                assert {event.what for event in waiting} == {"the deltas of peer-2"}
                assert [round(event.since_s) // 5 for event in waiting[:2]] == [1, 3]
            assert {event.what for event in swarm.nodes[2].events(Waiting)} == {"its own training"}

    play(5, scenario)


def test_a_healthy_swarm_never_says_that_it_waits() -> None:
    async def scenario() -> None:
        async with NodeSwarm(4, seed=5, config=ENDLESS) as swarm:
            await swarm.start_spread()
            await trio.sleep(60.0)
            assert not any(node.events(Waiting) for node in swarm.nodes)
            assert not any(node.events(WorkDropped) for node in swarm.nodes)

    play(5, scenario)


def test_a_bug_in_one_peer_ends_that_peer_alone() -> None:
    class Broken(NumpyAgent):
        async def train(self, *, seconds: Seconds) -> TrainStats:
            await trio.sleep(5.0)
            raise KeyError("a bug")

    async def scenario() -> None:
        crashed = []

        async def live_and_note(swarm: NodeSwarm) -> None:
            try:
                await swarm._live(swarm.nodes[0])
            except* KeyError as group:
                crashed.append(group)

        async with NodeSwarm(3, seed=5, config=ENDLESS) as swarm, trio.open_nursery() as nursery:
            swarm.nodes[0].agent_type = Broken
            nursery.start_soon(live_and_note, swarm)
            swarm.start(1, 2)
            await swarm.until_round(8, 1, 2)
            assert len(crashed) == 1  # the error reaches whoever started the peer: its supervisor restarts it
            assert not swarm.nodes[0].is_running
            check_finals(swarm.nodes)
            nursery.cancel_scope.cancel()

    play(5, scenario)


def test_jumps_of_the_wall_clock_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> str:
        config = demo_config(stop={"mean_return": None, "max_rounds": 8, "linger_s": 20.0})
        async with NodeSwarm(3, seed=6, config=config) as swarm:
            await swarm.start_spread()
            outcomes = await swarm.until_finished()
            return outcomes[0].tip.digest.hex()

    expected = play(6, scenario)
    readings = iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: 1e9 + (-1) ** next(readings) * 1e8)
    assert play(6, scenario) == expected


def test_no_rule_or_loop_reads_the_wall_clock() -> None:
    """Logs, boot file, peer book and event files may show the time of day; nothing that decides may depend on it."""
    allowed = {
        "telemetry/event_files.py",
        "telemetry/sink.py",
        "process.py",
        "local_swarm.py",
        "cli.py",
        "status_page.py",
        "doctor/admission_checks.py",
        "doctor/machine_checks.py",
        "services/discovery.py",
    }
    readers = {
        str(path.relative_to(PEER))
        for path in PEER.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and (isinstance(node.value, ast.Name) and (node.value.id, node.attr) in _WALL_CLOCKS)
    }
    assert readers <= allowed, readers - allowed


_WALL_CLOCKS = {
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
}
