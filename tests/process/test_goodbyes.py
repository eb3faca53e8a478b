"""How the end of a peer is told by those who stay: stopped by its user, killed, or with the run."""

import json
import signal

import pytest

from peer.network.transport import NO_GOODBYE
from tests.held_port import held_port
from tests.process.murmur import FAST, START_S, Murmur, MurmurProcess, identity_of


def together(murmur: Murmur) -> list[MurmurProcess]:
    """Start three peers, and return them when they take part in one round."""
    first = murmur.peer("a")
    peers = [first, murmur.peer("b", meet=[first])]
    peers.append(murmur.peer("c", meet=peers))
    for peer in peers:
        peer.wait_for("round_sealed", lambda event: event["admitted"] == 3, within_s=START_S)
    return peers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_peer_that_is_stopped_is_told_from_one_that_is_killed(murmur: Murmur, number: signal.Signals) -> None:
    staying, stopped, killed = together(murmur)
    assert stopped.stop(number) == 0
    said = staying.wait_for("peer_stopped")
    assert said["remote"] == identity_of(stopped)
    assert said["peers"] == 2
    killed.wait_for("peer_stopped")

    killed.send(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    lost = staying.wait_for("peer_left")
    assert (lost["remote"], lost["cause"]) == (identity_of(killed), NO_GOODBYE)
    assert [event["remote"] for event in killed.named("peer_stopped")] == [identity_of(stopped)]
    assert len(staying.named("peer_stopped")) == len(staying.named("peer_left")) == 1
    assert not staying.named("peer_suspected")

    asked = murmur.run("status", "--data-dir", str(murmur.folder / "a"), "--json")
    assert asked.wait(within_s=START_S) == 0, asked.output
    status = json.loads(asked.output)[0]
    assert [(each["peer_id"], each["stopped"]) for each in status["gone"]] == [
        (identity_of(killed), False),
        (identity_of(stopped), True),
    ]
    assert (status["counters"]["peers_lost"], status["counters"]["peers_stopped"]) == (1, 1)
    assert staying.stop() == 0


def test_nobody_is_lost_at_the_end_of_a_run(murmur: Murmur) -> None:
    settings = ("stop.mean_return=null", "stop.max_rounds=15", "round.train_s=1.0")
    with held_port() as port:  # both start at once: on a busy machine the run of the first is over before a later start
        known = f"network.addresses=[/ip4/127.0.0.1/tcp/{port}]"
        peers = [murmur.peer("a", *settings, base=FAST, port=port), murmur.peer("b", *settings, known, base=FAST)]
        for peer in peers:
            assert peer.wait(within_s=START_S) == 0, peer.output
            assert len(peer.named("run_finished")) == 1
            assert peer.named("peer_joined")
            assert not peer.named("peer_left")
