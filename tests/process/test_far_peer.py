"""A peer whose every message takes 300 ms on its way, on real sockets."""

from tests.process.murmur import START_S, Murmur


def test_a_far_peer_is_met_and_its_work_counts(murmur: Murmur) -> None:
    near = murmur.peer("near", "round.grace_s=10.0")
    far = murmur.peer("far", "round.grace_s=10.0", meet=[near], altered=["--delay-s=0.3"])
    for peer in (near, far):
        peer.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    assert [peer.stop() for peer in (near, far)] == [0, 0]
