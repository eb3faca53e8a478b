"""What happens to the others, and to itself, when a whole peer dies, comes back, comes late or is too slow."""

from itertools import pairwise
from pathlib import Path

import pytest
import trio

from peer.network.memory_network import LinkProfile, fixed_latency
from peer.telemetry.disk_events import SnapshotAdopted, SnapshotSaved, StateDamaged, StorageFailed
from peer.telemetry.peer_events import PeerLeft, PeerStopped, PeerSuspected
from peer.telemetry.round_events import DeltaCarried, RosterChanged, RoundSealed, WorkDropped
from tests.swarm.node_swarm import NodeSwarm, SlowAgent, check_finals, demo_config, play

ENDLESS = demo_config(stop={"mean_return": None, "max_rounds": None})


def to_round(number: int) -> dict[str, object]:
    return {"mean_return": None, "max_rounds": number, "linger_s": 20.0}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [2, 4])
def test_a_killed_peer_delays_the_next_round_by_less_than_ten_seconds(size: int, seed: int) -> None:
    async def scenario() -> None:
        async with NodeSwarm(size, seed=seed, config=ENDLESS) as swarm:
            await swarm.start_spread()
            await swarm.until_round(3)
            await trio.sleep(swarm.rng.uniform(0.0, 2.5))
            swarm.crash(0)
            died_at = trio.current_time()
            last = max(node.last_round() for node in swarm.nodes[1:])
            await swarm.until_round(last + 1, *range(1, size), within_s=10.0)
            assert trio.current_time() - died_at <= 10.0
            check_finals(swarm.nodes)

    play(seed, scenario)


@pytest.mark.parametrize("seed", range(4))
def test_whoever_dies_the_pace_is_normal_again_after_one_round(seed: int) -> None:
    """Also when the dead peer's turn to seal comes in every later round that it is still on the roster."""

    async def scenario() -> None:
        async with NodeSwarm(4, seed=seed, config=ENDLESS) as swarm:
            await swarm.start_spread()
            await swarm.until_round(3)
            swarm.crash(seed % 4)
            await trio.sleep(30.0)
            survivor = swarm.nodes[(seed + 1) % 4]
            sealed = [at for at, event in survivor.times if event.round > 5]
            gaps = [late - early for early, late in pairwise(sealed)]
            assert max(gaps) < 3.5, gaps
            removed = {peer for event in survivor.events(RosterChanged) for peer in event.removed}
            assert removed == {swarm.nodes[seed % 4].peer_id}

    play(seed, scenario)


@pytest.mark.parametrize("seed", range(4))
def test_a_restarted_peer_is_admitted_within_two_rounds_under_the_same_identity(seed: int, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=seed, config=ENDLESS, folder=tmp_path) as swarm:
            await swarm.start_spread()
            await swarm.until_round(4)
            swarm.crash(0)
            await trio.sleep(swarm.rng.uniform(1.0, 20.0))
            survivor = swarm.nodes[1]
            round_at_start = survivor.last_round()
            swarm.start(0)
            await swarm.until_round(round_at_start + 3)
            await trio.sleep(0.5)  # the journal is a moment behind
            first = next(
                sealed.number
                for sealed in swarm.journal(1)
                if sealed.number > round_at_start and swarm.nodes[0].peer_id in sealed.env_steps
            )
            assert first <= round_at_start + 2
            check_finals(swarm.nodes)

    play(seed, scenario)


def test_a_peer_that_was_stopped_goes_on_from_its_own_disk_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with NodeSwarm(1, seed=1, config=demo_config(stop=to_round(12)), folder=tmp_path) as swarm:
            swarm.start()
            await swarm.until_round(10)  # the tenth is in the snapshot that every tenth round leaves
            swarm.crash(0)
            await trio.sleep(1.0)
            swarm.nodes[0].times.clear()
            swarm.start(0)
            await swarm.until_finished()
            assert [event.round for _, event in swarm.nodes[0].times] == [11, 12]
            assert [sealed.number for sealed in swarm.journal(0)] == list(range(1, 13))

    play(1, scenario)


def test_a_peer_that_is_told_to_stop_saves_its_last_round_and_says_goodbye(tmp_path: Path) -> None:
    async def scenario() -> None:
        config = demo_config(stop=to_round(14))
        async with NodeSwarm(2, seed=1, config=config, folder=tmp_path) as swarm:
            swarm.start()
            await swarm.until_round(3)
            await trio.sleep(0.7)
            leaving, staying = swarm.nodes
            stopped_at = leaving.last_round()
            swarm.stop(0)
            await swarm.until(lambda: not leaving.is_running, within_s=1.0)
            assert [event.round for event in leaving.events(SnapshotSaved)] == [stopped_at]
            assert (tmp_path / "peer-0" / "training.json").exists()
            await trio.sleep(0.1)
            assert [event.remote for event in staying.events(PeerStopped)] == [leaving.peer_id]
            assert not staying.events(PeerLeft) + staying.events(PeerSuspected)
            swarm.start(0)
            outcomes = await swarm.until_finished()
            assert outcomes[0].tip.model == outcomes[1].tip.model
            assert not leaving.events(SnapshotAdopted)  # it went on from its own disk

    play(1, scenario)


def test_a_peer_that_is_restarted_after_the_end_ends_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with NodeSwarm(2, seed=1, config=demo_config(stop=to_round(4)), folder=tmp_path) as swarm:
            await swarm.start_spread()
            first, _ = await swarm.until_finished()
            await swarm.until(lambda: not swarm.nodes[0].is_running, within_s=30.0)
            swarm.nodes[0].outcome = None
            swarm.start(0)
            again, _ = await swarm.until_finished(within_s=25.0)
            assert (again.tip.model, again.stop) == (first.tip.model, "rounds")

    play(1, scenario)


@pytest.mark.parametrize("seed", range(3))
def test_a_late_joiner_takes_over_a_snapshot_and_takes_part(seed: int, tmp_path: Path) -> None:
    async def scenario() -> None:
        config = demo_config(stop=to_round(20))
        async with NodeSwarm(4, seed=seed, config=config, folder=tmp_path) as swarm:
            swarm.start(0, 1, 2)
            await swarm.until_round(12, 0)
            swarm.start(3)
            outcomes = await swarm.until_finished()
            assert len({outcome.tip.model for outcome in outcomes}) == 1
            late = swarm.nodes[3]
            adopted = late.events(SnapshotAdopted)
            assert adopted
            assert adopted[0].round >= 11
            assert any(late.peer_id in sealed.env_steps for sealed in swarm.journal(0))
            check_finals(swarm.nodes)

    play(seed, scenario)


def test_a_joiner_does_not_hold_the_swarm_up() -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=5, config=ENDLESS) as swarm:
            swarm.start(0, 1)
            await swarm.until_round(6, 0)
            swarm.start(2)
            await swarm.until_round(12, 0)
            sealed = [at for at, _ in swarm.nodes[0].times]
            assert max(late - early for early, late in pairwise(sealed[1:])) < 4.0

    play(5, scenario)


@pytest.mark.parametrize("slowness", [4.0, 7.0, 13.0, 30.0])
def test_a_slow_peer_is_not_waited_for_and_its_work_is_not_lost(slowness: float, tmp_path: Path) -> None:
    async def scenario() -> None:
        config = demo_config(stop=to_round(30))
        async with NodeSwarm(4, seed=1, config=config, folder=tmp_path) as swarm:
            slow = swarm.nodes[3]
            slow.agent_type = type("Slow", (SlowAgent,), {"slowness": slowness})
            await swarm.start_spread()
            await swarm.until_finished()
            sealed = [at for at, _ in swarm.nodes[0].times]
            round_s = config.round.train_s + config.round.grace_s + 2 * config.round.backup_gap_s
            assert max(late - early for early, late in pairwise(sealed[1:])) <= round_s
            admitted = sum(sealed.env_steps.get(slow.peer_id, 0) for sealed in swarm.journal(0))
            trained = slow.agent.env_steps if slow.agent else 0
            assert admitted >= 0.5 * trained, f"{admitted} of {trained} steps count"
            assert not slow.events(WorkDropped)

    play(1, scenario)


@pytest.mark.parametrize("schedule", ["calm", "lossy", "split"])
def test_every_env_step_counts_once_at_most(schedule: str, tmp_path: Path) -> None:
    """Steps in the common chain are those that were trained, but for what is still on its way or said to be lost."""

    async def scenario() -> None:
        config = demo_config(stop=to_round(25))
        loss = 0.15 if schedule == "lossy" else 0.0
        profile = LinkProfile(latency=fixed_latency(0.03), gossip_loss=loss)
        async with NodeSwarm(4, seed=8, config=config, profile=profile, folder=tmp_path) as swarm:
            await swarm.start_spread()
            if schedule == "split":
                await swarm.until_round(5)
                swarm.network.partition([node.peer_id for node in swarm.nodes[:2]])
                await trio.sleep(6.0)
                swarm.network.heal()
            outcomes = await swarm.until_finished()
            chain = swarm.journal(0)
            assert sum(sum(sealed.env_steps.values()) for sealed in chain) == outcomes[0].tip.env_steps
            for node in swarm.nodes:
                counted = sum(sealed.env_steps.get(node.peer_id, 0) for sealed in chain)
                dropped = sum(event.env_steps for event in node.events(WorkDropped))
                assert node.agent is not None
                on_the_way = node.agent.env_steps - counted - dropped
                assert 0 <= on_the_way <= 3 * 2_000, f"peer-{node.number}: {on_the_way} steps unaccounted for"
                if node.events(DeltaCarried):
                    assert schedule != "calm"

    play(8, scenario)


def test_a_payload_is_pulled_on_from_another_holder_when_the_first_dies(tmp_path: Path) -> None:
    """peer-0 dies when peer-1 has its payload (1.6 MB) whole and peer-2 has half of it."""

    async def scenario() -> None:
        async with NodeSwarm(3, seed=2, config=ENDLESS, folder=tmp_path) as swarm:
            for node in swarm.nodes:
                node.num_params = 400_000
            dying, fast, slow = swarm.nodes
            narrow = LinkProfile(latency=fixed_latency(0.01), bytes_per_s=1e6)
            swarm.network.set_profile(dying.peer_id, slow.peer_id, narrow)
            swarm.start()
            await swarm.until_round(2)
            assert dying.transport is not None
            await swarm.until(lambda: dying.last_round() >= 4, within_s=30.0)
            opened_at = trio.current_time()
            await trio.sleep_until(opened_at + 2.0 + 0.8)
            swarm.crash(0)
            await swarm.until_round(5, 1, 2)
            fifth = next(sealed for sealed in swarm.journal(2) if sealed.number == 5)
            assert dying.peer_id in fifth.env_steps
            assert trio.current_time() - opened_at < 6.0
            check_finals([fast, slow])

    play(2, scenario)


def test_a_disk_that_fails_costs_the_disk_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        config = demo_config(stop=to_round(15), round={"snapshot_every": 3})
        async with NodeSwarm(2, seed=3, config=config, folder=tmp_path) as swarm:
            swarm.start()
            await swarm.until_round(4)
            (tmp_path / "peer-0" / "snapshots").rename(tmp_path / "gone")
            (tmp_path / "peer-0" / "snapshots").write_text("a file stands where the folder was")
            outcomes = await swarm.until_finished()
            assert outcomes[0].tip.model == outcomes[1].tip.model
            failures = swarm.nodes[0].events(StorageFailed)
            assert {failure.operation for failure in failures} == {"save a snapshot"}
            assert not swarm.nodes[1].events(StorageFailed)
            assert [sealed.number for sealed in swarm.journal(0)] == list(range(1, 16))

    play(3, scenario)


def test_a_run_of_one_round_ends_cleanly() -> None:
    async def scenario() -> None:
        async with NodeSwarm(3, seed=4, config=demo_config(stop=to_round(1))) as swarm:
            swarm.start()
            outcomes = await swarm.until_finished(within_s=60.0)
            assert {outcome.tip.round for outcome in outcomes} == {1}
            assert len({outcome.tip.model for outcome in outcomes}) == 1
            assert all(len(node.events(RoundSealed)) >= 1 for node in swarm.nodes)
            assert not any(node.events(StateDamaged) for node in swarm.nodes)

    play(4, scenario)
