"""Peers on one Ethernet that know nothing of each other: real multicast between network namespaces."""

import pytest

from tests.process.murmur import START_S, Murmur, MurmurProcess, identity_of
from tests.process.namespaces import MISSING, Lan, lan


def start(murmur: Murmur, world: Lan, host: str, *settings: str) -> MurmurProcess:
    inside = ("ip", "netns", "exec", world.hosts[host])
    return murmur.peer(host, "network.listen_host=0.0.0.0", "network.mdns=true", *settings, inside=inside)


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_peers_of_one_run_find_each_other_and_those_of_another_are_left_alone(murmur: Murmur) -> None:
    with lan(["one", "two", "other"]) as world:
        one = start(murmur, world, "one")
        other = start(murmur, world, "other", "run.name=another")
        two = start(murmur, world, "two")
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
