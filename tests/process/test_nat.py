"""Two peers that can only dial out, in network namespaces of their own, and one that both can reach."""

import pytest

from tests.process.murmur import START_S, Murmur, MurmurProcess, models_by_round, port_of
from tests.process.namespaces import MISSING, Namespaces, nat_world

LARGE_MODEL = ("model.hidden=[128,128]", "round.codec=float32")
"""70 KB a delta: more than rides along with gossip, so that every payload has to be pulled."""

SLOW_ROUNDS = ("round.train_s=1.0", "round.grace_s=8.0", "network.listen_host=0.0.0.0")


def start(murmur: Murmur, name: str, namespace: str, *settings: str) -> MurmurProcess:
    return murmur.peer(name, *LARGE_MODEL, *SLOW_ROUNDS, *settings, inside=("ip", "netns", "exec", namespace))


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_two_peers_behind_nats_train_with_each_other_through_a_third(murmur: Murmur) -> None:
    with nat_world(["left", "right"]) as world:
        middle = start(murmur, "middle", world.router)
        port = port_of(middle)
        hidden = [
            start(murmur, host, world.hosts[host], f"network.addresses=[/ip4/{world.router_address(host)}/tcp/{port}]")
            for host in ("left", "right")
        ]
        everybody = [middle, *hidden]
        for peer in everybody:
            peer.wait_for("round_sealed", lambda event: event["admitted"] == 3, within_s=2 * START_S)
        seen = [peer.wait_for("round_sealed", lambda event: event["admitted"] == 3) for peer in everybody]
        target = max(event["round"] for event in seen) + 3
        for peer in everybody:
            peer.wait_for("round_final", lambda event: event["round"] >= target, within_s=START_S)
        models = [models_by_round(peer) for peer in everybody]
        common = max(set.intersection(*(set(each) for each in models)))
        assert common >= target - 1
        assert len({each[common] for each in models}) == 1
        assert_told_the_truth(world, middle, hidden)


def assert_told_the_truth(world: Namespaces, middle: MurmurProcess, hidden: list[MurmurProcess]) -> None:
    """Check what dial-back found: both can reach the one in the middle, and nobody the others."""
    found = middle.wait_for("address_reached", within_s=START_S)
    assert found["addresses"][0].startswith("/ip4/10.231.")
    for peer in hidden:
        told = peer.wait_for("addresses_unreached", within_s=START_S)
        assert told["addresses"][0].startswith("/ip4/10.231.")
        assert not peer.named("address_reached")
