"""Six containers that train, beside programs and peers that attack them: strangers, floods, liars and misfits."""

from collections.abc import Iterator

import pytest

from tests.docker import event_log
from tests.docker.chaos_swarm import ChaosSwarm
from tests.docker.compose_swarm import now

pytestmark = pytest.mark.chaos
PEERS = 6
SWARM_SECRET = "5e" * 32
SOON_S = 60.0
ATTACK_S = 15.0
_PYTHON = ("tini", "--", "python3", "-m", "tests.docker.hostile_peer")

# kind, what it counts, how many of that at least: less would be no attack
STRANGERS = [
    ("garbage", "sent", 200),
    ("connects", "opened", 1000),
    ("silent", "opened", 300),
    ("gossip", "sent", 1000),
    ("streams", "sent", 500),
    ("oversized", "sent", 20),
    ("nested", "sent", 100),
]


@pytest.fixture(autouse=True)
def nobody_crashes(chaos: ChaosSwarm) -> Iterator[None]:
    yield
    assert chaos.swarm.no_restarts()
    for container in chaos.containers():
        assert "Traceback" not in chaos.swarm.output(container)


@pytest.mark.parametrize(("kind", "counted", "at_least"), STRANGERS, ids=[kind for kind, _, _ in STRANGERS])
def test_rounds_go_on_with_everybody_in_them_while_a_stranger_attacks(
    chaos: ChaosSwarm, kind: str, counted: str, at_least: int
) -> None:
    begun = now()
    attacker = chaos.add_program([*_PYTHON, kind, f"--seconds={ATTACK_S}"])
    chaos.wait_until(lambda: b"attack_started" in attacker.logs(), what="the attack has begun", within_s=60)
    chaos.wait_sealed(chaos.containers(), since=now(), rounds=4, admitted=PEERS, within_s=SOON_S)
    chaos.wait_until(lambda: b"attack_ended" in attacker.logs(), what="the attack is over", within_s=60)
    done = event_log.named(event_log.parse(attacker.logs().decode()), "attack_ended")[0]
    assert done.get(counted, 0) >= at_least, f"hardly an attack: {done}"
    gone = [event for each in chaos.containers() for event in event_log.named(chaos.recent(each, begun), "peer_left")]
    members = {event_log.peer_id(chaos.swarm.events(each)) for each in chaos.containers()}
    assert not [event for event in gone if event["remote"] in members], "the attack cost good connections"


@pytest.mark.parametrize(("attack", "reason"), [("withhold", None), ("corrupt", "payload_hash"), ("nan", None)])
def test_rounds_go_on_while_a_member_lies(chaos: ChaosSwarm, attack: str, reason: str | None) -> None:
    liar = chaos.add("--duty=0.03", f"--attack={attack}")
    begun = now()
    chaos.wait_until(
        lambda: all(event_log.named(chaos.recent(each, begun), "peer_joined") for each in chaos.containers()),
        what="the liar is met",
        within_s=SOON_S,
    )
    chaos.wait_sealed(chaos.containers(), since=now(), rounds=6, admitted=PEERS, within_s=SOON_S)
    if reason is not None:
        refused = [
            event["reason"]
            for each in chaos.containers()
            for event in event_log.named(chaos.recent(each, begun), "message_refused")
            if event["remote"] == event_log.peer_id(chaos.recent(liar, begun))
        ]
        assert reason in refused, f"nobody noticed the lie: {refused}"


@pytest.mark.parametrize(
    ("changes", "environment", "reason"),
    [
        ((), {"MURMUR_RUN__NAME": "another"}, "run"),
        ((), {"MURMUR_STOP__EPISODES": "6"}, "config"),
        (("--version=1",), {}, "version"),
        ((f"--swarm-secret={'ff' * 32}",), {}, "swarm_key"),
        (("--swarm-secret=",), {}, "swarm_key"),
    ],
    ids=["another_run", "another_config", "older_protocol", "another_key", "no_key"],
)
def test_misfit_is_refused_and_named_on_both_sides(
    chaos: ChaosSwarm, changes: tuple[str, ...], environment: dict[str, str], reason: str
) -> None:
    begun = now()
    misfit = chaos.add("--duty=0.03", *changes, environment=environment)
    chaos.wait_until(
        lambda: event_log.named(chaos.recent(misfit, begun), "peer_started"), what="it has started", within_s=SOON_S
    )
    stranger = event_log.peer_id(chaos.recent(misfit, begun))
    members = {event_log.peer_id(chaos.swarm.events(each)) for each in chaos.containers()}
    for container, others in ((misfit, members), (chaos.containers()[0], {stranger})):
        chaos.wait_until(
            lambda container=container, others=others: [  # type: ignore[misc]  # defaults that bind the loop's variables
                event
                for event in event_log.named(chaos.recent(container, begun), "peer_refused")
                if event["reason"] == reason and event["remote"] in others
            ],
            what=f"refused because of its {reason}",
            within_s=SOON_S,
        )
    refused = event_log.named(chaos.recent(chaos.containers()[0], begun), "peer_refused")
    assert not members & {event["remote"] for event in refused}
    chaos.wait_sealed(chaos.containers(), since=now(), rounds=2, admitted=PEERS, within_s=SOON_S)
    assert all(event["roster"] == PEERS for event in chaos.sealed(chaos.containers()[0], begun)[-2:])
