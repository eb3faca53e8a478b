"""Peers on one Ethernet, each in a network namespace: found by real multicast, and at another address than before."""

import pytest

from tests.process.murmur import START_S, Murmur, MurmurProcess, identity_of, port_of
from tests.process.namespaces import MISSING, Lan, lan

PATIENT = "round.grace_s=10.0"
"""On a busy machine an exchange takes longer than the deltas are waited for elsewhere."""


def start(murmur: Murmur, world: Lan, host: str, *settings: str) -> MurmurProcess:
    inside = ("ip", "netns", "exec", world.hosts[host])
    return murmur.peer(host, "network.listen_host=0.0.0.0", PATIENT, *settings, inside=inside)


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_peers_of_one_run_find_each_other_and_those_of_another_are_left_alone(murmur: Murmur) -> None:
    with lan(["one", "two", "other"]) as world:
        one = start(murmur, world, "one", "network.mdns=true")
        other = start(murmur, world, "other", "network.mdns=true", "run.name=another")
        two = start(murmur, world, "two", "network.mdns=true")
        assert one.wait_for("looking_for", within_s=START_S)["targets"] == ["mDNS"]
        for peer in (one, two):
            peer.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
        met = {event["remote"] for peer in (one, two) for event in peer.named("peer_joined")}
        assert met == {identity_of(one), identity_of(two)}
        other.wait_for_round(1)
        for peer in (one, two, other):
            assert not peer.named("peer_refused")
            assert not peer.named("discovery_failed")
        assert not other.named("peer_joined")
        assert one.stop() == two.stop() == other.stop() == 0


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_a_peer_whose_address_changes_is_found_at_the_new_one(murmur: Murmur) -> None:
    with lan(["known", "moving", "late"]) as world:
        known = start(murmur, world, "known")
        seed = f"network.addresses=[/ip4/{world.address_of('known')}/tcp/{port_of(known)}]"
        moving = start(murmur, world, "moving", seed)
        for peer in (known, moving):
            peer.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
        world.move("moving", "10.232.0.99")
        new = f"/ip4/10.232.0.99/tcp/{port_of(moving)}"
        old = f"/ip4/{world.address_of('moving')}/tcp/{port_of(moving)}"
        changed = moving.wait_for("addresses_changed", within_s=START_S)
        assert (changed["gone"], changed["now"]) == ([old], [new])
        moving.wait_for("address_reached", lambda event: event["addresses"] == [new], within_s=START_S)
        late = start(murmur, world, "late", seed)
        late.wait_for("peer_joined", lambda event: event["remote"] == identity_of(moving), within_s=START_S)
        for peer in (known, moving, late):
            peer.wait_for("round_sealed", lambda event: event["admitted"] == 3, within_s=START_S)
        assert known.stop() == moving.stop() == late.stop() == 0
