"""Six containers that train, beside programs and peers that attack them: strangers, floods, liars and misfits."""

from collections.abc import Callable, Iterator

import pytest

from tests.docker import event_log
from tests.docker.chaos_swarm import FILES, ChaosSwarm
from tests.docker.compose_swarm import ComposeSwarm, now

pytestmark = pytest.mark.chaos
PEERS = 6
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


@pytest.fixture(scope="module")
def chaos(make_swarm: Callable[..., ComposeSwarm]) -> Iterator[ChaosSwarm]:
    chaos = ChaosSwarm(make_swarm(files=FILES), peers=PEERS)
    try:
        chaos.start()
        chaos.wait_healthy(within_s=180)
        yield chaos
    finally:
        chaos.remove_extras()


@pytest.fixture(autouse=True)
def from_health_to_health(chaos: ChaosSwarm) -> Iterator[None]:
    chaos.wait_healthy()
    chaos.judged_since = now()
    yield
    chaos.remove_extras()
    chaos.wait_healthy()
    chaos.assert_one_model()
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
    ],
    ids=["another_run", "another_config", "older_protocol"],
)
def test_misfit_is_refused_and_named_on_both_sides(
    chaos: ChaosSwarm, changes: tuple[str, ...], environment: dict[str, str], reason: str
) -> None:
    begun = now()
    misfit = chaos.add("--duty=0.03", *changes, environment=environment)
    for container in (misfit, chaos.containers()[0]):
        chaos.wait_until(
            lambda container=container: [  # type: ignore[misc]  # a default that binds the loop's variable
                event
                for event in event_log.named(chaos.recent(container, begun), "peer_refused")
                if event["reason"] == reason
            ],
            what=f"refused because of its {reason}",
            within_s=SOON_S,
        )
    chaos.wait_sealed(chaos.containers(), since=now(), rounds=2, admitted=PEERS, within_s=SOON_S)
    assert all(event["roster"] == PEERS for event in chaos.sealed(chaos.containers()[0], begun)[-2:])
