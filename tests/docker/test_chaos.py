"""Eight containers that train, and what kills, parts, delays and pauses them. The scenarios share one swarm.

Every scenario begins and ends with a round that has everybody's delta in it, on every peer.
"""

import random
import time
from datetime import timedelta
from pathlib import Path

import pytest

from peer.rounds.roster import seal_order
from peer.types import Digest, PeerId
from tests.docker import event_log, links
from tests.docker.chaos_swarm import ChaosSwarm, read_file
from tests.docker.compose_swarm import Container, now, started_at

pytestmark = pytest.mark.chaos
PEERS = 8
ROUND_S = 10.0
"""Survivors of a fault seal again within this time."""

SOON_S = 60.0
RNG = random.Random(20260203)


def ids_of(containers: list[Container], chaos: ChaosSwarm) -> dict[str, Container]:
    return {event_log.peer_id(chaos.swarm.events(container)): container for container in containers}


def _sealed_lately(container: Container, chaos: ChaosSwarm) -> list[event_log.Event]:
    """Return the rounds that it saw sealed in the last seconds of its present life."""
    return chaos.sealed(container, max(now() - timedelta(seconds=ROUND_S), started_at(container)))


# --- deaths -------------------------------------------------------------------------------------------------------


@pytest.mark.docker
def test_three_of_eight_killed_the_others_lose_at_most_one_round_and_three_newcomers_are_admitted(
    chaos: ChaosSwarm,
) -> None:
    containers = chaos.containers()
    dead, alive = containers[:3], containers[3:]
    killed = now()
    for container in dead:
        container.kill(signal="SIGKILL")
    chaos.wait_sealed(alive, since=now(), within_s=ROUND_S)
    newcomers = [chaos.add("--duty=0.03") for _ in dead]
    chaos.wait_sealed([*alive, *newcomers], since=now(), admitted=PEERS, within_s=SOON_S)
    assert all(len(chaos.sealed(container, killed)) >= 2 for container in alive)


def test_sealer_killed_in_every_round_for_twenty_rounds_the_swarm_goes_on(chaos: ChaosSwarm) -> None:
    """The sealer: whoever comes first, of those that run, in the order after the newest round that somebody saw.

    Who was killed lately may still be starting; the others are those that survive.
    """
    by_id = ids_of(chaos.containers(), chaos)
    kills = 0
    for _ in range(20):
        running = {peer: each for peer, each in by_id.items() if _state(each) == "running"}
        awake = {peer: seen for peer, each in running.items() if (seen := _sealed_lately(each, chaos))}
        newest = awake[RNG.choice(sorted(awake))][-1]
        first = seal_order(Digest(bytes.fromhex(newest["manifest"])), (PeerId(peer) for peer in running))[0]
        struck = now()
        by_id[first].kill(signal="SIGKILL")
        kills += 1
        survivors = [by_id[peer] for peer in awake if peer != first]
        assert len(survivors) >= 2
        chaos.wait_sealed(survivors[:2], since=struck, within_s=ROUND_S)
        by_id[first].start()
    assert kills == 20


def test_all_restarted_at_once_go_on_from_what_they_had(chaos: ChaosSwarm) -> None:
    reached = max(chaos.sealed(each, now() - timedelta(seconds=30))[-1]["round"] for each in chaos.containers())
    struck = now()
    for container in chaos.containers():
        container.kill(signal="SIGKILL")
    for container in chaos.containers():
        container.start()
    chaos.wait_sealed(chaos.containers(), since=struck, admitted=PEERS, within_s=120)
    assert max(each["round"] for each in chaos.sealed(chaos.containers()[0], struck)) > reached - 6, (
        "snapshots are every 5"
    )


def test_killed_with_9_rejoins_as_itself_within_two_rounds(chaos: ChaosSwarm) -> None:
    victim, other = chaos.containers()[:2]
    identity = event_log.peer_id(chaos.swarm.events(victim))
    victim.kill(signal="SIGKILL")
    chaos.wait_sealed([other], since=now(), rounds=3, within_s=SOON_S)
    back = now()
    victim.start()
    chaos.wait_sealed([other], since=back, admitted=PEERS, within_s=SOON_S)
    assert event_log.peer_id(chaos.recent(victim, back)) == identity

    def meetings() -> list[event_log.Event]:
        joins = event_log.named(chaos.recent(other, back), "peer_joined")
        return [event for event in joins if event["remote"] == identity]

    chaos.wait_until(meetings, what="the two have met", within_s=SOON_S)  # others may have passed on what it did
    joined = event_log.time_of(meetings()[0])
    chaos.wait_sealed([other], since=joined, admitted=PEERS, within_s=SOON_S)
    seen = chaos.sealed(other, joined)
    full = next(i for i, event in enumerate(seen, 1) if event["admitted"] >= PEERS)
    assert full <= 2, f"admitted in the {full}. round that was sealed after another peer had greeted it"


def test_donors_killed_while_a_joiner_catches_up_it_goes_on_at_others(chaos: ChaosSwarm) -> None:
    witness = chaos.containers()[0]
    chaos.wait_until(
        lambda: chaos.sealed(witness, now() - timedelta(seconds=30))[-1]["round"] > 15,
        what="a chain too long to be replayed from its beginning",
        within_s=SOON_S,
    )
    begun = now()
    joiner = chaos.add("--duty=0.03", "--delay-s=1.0")  # slow enough to be caught in the act
    chaos.wait_until(
        lambda: event_log.named(chaos.recent(joiner, begun), "peer_joined"), what="the joiner met somebody", within_s=60
    )
    by_id = ids_of(chaos.containers(), chaos)
    met = [event["remote"] for event in event_log.named(chaos.recent(joiner, begun), "peer_joined")][:2]
    assert not event_log.named(chaos.recent(joiner, begun), "snapshot_adopted"), "too late: it had caught up"
    for peer in met:
        by_id[peer].kill(signal="SIGKILL")
    chaos.wait_until(
        lambda: event_log.named(chaos.recent(joiner, begun), "snapshot_adopted"),
        what="the joiner took over the state",
        within_s=SOON_S,
    )
    # With messages a second under way it is late for some rounds, but its work counts.
    identity = event_log.peer_id(chaos.recent(joiner, begun))
    for peer in met:
        by_id[peer].start()
    chaos.wait_until(lambda: chaos.contributions().get(identity), what="its work is in the chain", within_s=SOON_S)


# --- links --------------------------------------------------------------------------------------------------------


def part_and_heal(chaos: ChaosSwarm, sizes: tuple[int, ...], *, seconds: float) -> None:
    """Part the swarm, let all sides train, heal it; all work is in the one chain afterwards."""
    containers, sides, start = chaos.containers(), [], 0
    for size in sizes:
        sides.append(containers[start : start + size])
        start += size
    chaos.wait_healthy()
    before = chaos.sealed(containers[0], now() - timedelta(seconds=30))[-1]["env_steps"]
    with links.parted(*sides):
        cut = now()
        time.sleep(seconds)
        grown = [chaos.sealed(side[0], cut)[-1]["env_steps"] - before for side in sides]
        assert all(len(chaos.sealed(side[0], cut)) >= 2 for side in sides), "a side stood still"
    healed = now()
    chaos.wait_sealed(containers, since=healed, admitted=PEERS, within_s=SOON_S)
    chaos.judged_since = now()
    joined = max(
        event_log.time_of(event)
        for each in containers
        for event in event_log.named(chaos.recent(each, healed), "peer_joined")
    )
    # The link is back when everybody has met everybody. A round that has everybody in it may be sealed before that.
    chaos.wait_sealed(containers, since=joined, admitted=PEERS, within_s=SOON_S)
    for container in containers:
        rounds = chaos.sealed(container, joined)
        full = next(i for i, event in enumerate(rounds) if event["admitted"] >= PEERS)
        assert full < 3, f"{container.name} saw {full} rounds without everybody after the link was back"
    after = chaos.sealed(containers[0], healed)[-1]["env_steps"]
    assert after - before >= 0.95 * sum(grown), f"{after - before} env steps in the chain, the sides had made {grown}"
    assert len(chaos.contributions()) >= PEERS


@pytest.mark.docker
def test_parted_four_and_four_for_20_s_heals_with_the_work_of_both_sides(chaos: ChaosSwarm) -> None:
    part_and_heal(chaos, (4, 4), seconds=20)


def test_parted_four_and_four_for_60_s_heals_with_the_work_of_both_sides(chaos: ChaosSwarm) -> None:
    part_and_heal(chaos, (4, 4), seconds=60)


def test_parted_three_three_two_heals_with_the_work_of_all_sides(chaos: ChaosSwarm) -> None:
    part_and_heal(chaos, (3, 3, 2), seconds=40)


def test_link_that_works_one_way_does_not_stop_the_others(chaos: ChaosSwarm) -> None:
    victim, *others = chaos.containers()
    with links.deaf_to(victim, others[:4]):
        time.sleep(30)
        chaos.wait_sealed(others, since=now(), rounds=3, within_s=SOON_S)


def test_a_fifth_of_all_packets_lost_rounds_go_on(chaos: ChaosSwarm) -> None:
    with links.lossy(chaos.containers(), share=0.2):
        time.sleep(5)
        chaos.wait_sealed(chaos.containers(), since=now(), rounds=8, within_s=120)
        chaos.wait_sealed(chaos.containers(), since=now(), admitted=PEERS - 2, within_s=120)


def test_two_peers_with_300_ms_delay_are_admitted_with_the_others(chaos: ChaosSwarm) -> None:
    far = [chaos.add("--duty=0.03", "--delay-s=0.3") for _ in range(2)]
    chaos.wait_sealed([*far, *chaos.containers()], since=now(), rounds=5, admitted=PEERS + 2, within_s=120)


def test_dns_gone_after_the_start_changes_nothing_for_those_who_have_met(chaos: ChaosSwarm) -> None:
    with links.without_dns(chaos.containers()):
        victim = chaos.containers()[0]
        victim.restart(timeout=20)  # finds nobody by name; whoever knows its address dials it
        chaos.wait_sealed(chaos.containers()[1:], since=now(), rounds=5, within_s=SOON_S)
        chaos.wait_sealed(chaos.containers(), since=now(), admitted=PEERS, within_s=SOON_S)


# --- machines -----------------------------------------------------------------------------------------------------


def test_one_paused_for_60_s_is_left_out_and_comes_back(chaos: ChaosSwarm) -> None:
    victim, *others = chaos.containers()
    paused = now()
    victim.pause()
    chaos.wait_sealed(others, since=paused, rounds=3, within_s=3 * ROUND_S)
    time.sleep(max(60 - (now() - paused).total_seconds(), 0))
    assert event_log.named(chaos.recent(others[0], paused), "peer_left"), "nobody noticed that it was gone"
    victim.unpause()
    chaos.wait_sealed(chaos.containers(), since=now(), admitted=PEERS, within_s=SOON_S)


def test_all_paused_for_30_s_like_a_laptop_asleep_go_on(chaos: ChaosSwarm) -> None:
    for container in chaos.containers():
        container.pause()
    time.sleep(30)
    for container in chaos.containers():
        container.unpause()
    chaos.wait_sealed(chaos.containers(), since=now(), rounds=2, within_s=SOON_S)


def test_disk_full_on_one_it_says_so_and_trains_on(chaos: ChaosSwarm) -> None:
    begun = now()
    cramped = chaos.add("--duty=0.03", tmpfs={"/data": "size=1m,uid=10001,gid=10001,mode=0700"})
    chaos.wait_until(
        lambda: event_log.named(chaos.recent(cramped, begun), "storage_failed"), what="its disk is full", within_s=120
    )
    chaos.wait_sealed([cramped, *chaos.containers()], since=now(), rounds=3, admitted=PEERS + 1, within_s=SOON_S)


def test_clock_set_back_an_hour_on_one_changes_nothing(chaos: ChaosSwarm) -> None:
    library = next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketime.so.1") if path.is_file()), None)
    assert library is not None, "libfaketime is missing; `scripts/setup.sh chaos` installs it"
    begun = now()
    odd = chaos.add(
        "--duty=0.03",
        environment={
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": "/tmp/clock",  # read again and again: the clock jumps while the peer runs
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        },
        volumes={library: {"bind": library, "mode": "ro"}},
    )
    chaos.wait_sealed(chaos.containers(), since=begun, admitted=PEERS + 1, within_s=SOON_S)
    code, _ = odd.exec_run(["sh", "-c", "echo -1h > /tmp/clock"], environment={"LD_PRELOAD": ""})
    assert code == 0
    time.sleep(2)
    line = odd.logs(tail=1).decode()
    assert event_log.time_of(event_log.parse(line)[0]) < begun, f"its clock has not moved: {line}"
    chaos.wait_sealed(chaos.containers(), since=now(), rounds=5, admitted=PEERS + 1, within_s=SOON_S)


def test_two_containers_with_one_identity_do_not_stop_the_others(chaos: ChaosSwarm) -> None:
    victim, *others = chaos.containers()
    folder = event_log.named(chaos.swarm.events(victim), "peer_started")[-1]["data_dir"].rpartition("/")[0]
    key = read_file(victim, f"{folder}/identity.key")
    boots = read_file(victim, f"{folder}/boots")
    twin = chaos.add("--duty=0.03", files={"slot-0/identity.key": key, "slot-0/boots": boots})
    begun = now()
    chaos.wait_until(
        lambda: event_log.named(chaos.recent(twin, begun), "peer_started"), what="the twin has started", within_s=60
    )
    assert event_log.peer_id(chaos.recent(twin, begun)) == event_log.peer_id(chaos.swarm.events(victim))
    chaos.wait_until(
        lambda: all(event_log.named(chaos.recent(each, begun), "own_identity_runs_twice") for each in (victim, twin)),
        what="both say that their identity runs twice",
        within_s=SOON_S,
    )
    chaos.wait_sealed(others, since=now(), rounds=5, admitted=PEERS - 1, within_s=SOON_S)
    chaos.remove_extras()
    victim.restart(timeout=20)  # the next step that its log names: of two processes the older stays out until then
    chaos.wait_healthy()
    chaos.judged_since = now()  # between being replaced and being told it was a partition's smaller side


def _state(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["Status"])
