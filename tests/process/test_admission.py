"""Real processes that may not take part: refused at once, named on both sides, and told what to do."""

from pathlib import Path

from tests.process.murmur import START_S, Murmur, identity_of


def new_swarm_key(murmur: Murmur, name: str) -> Path:
    file = murmur.folder / name
    made = murmur.run("swarm-key", "new", str(file))
    assert made.wait(within_s=START_S) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    return file


def test_peer_with_another_swarm_key_is_refused_in_both_logs_and_trains_alone(murmur: Murmur) -> None:
    ours, other = new_swarm_key(murmur, "ours.key"), new_swarm_key(murmur, "other.key")
    member = murmur.peer("a", f"network.swarm_key_file={ours}")
    friend = murmur.peer("b", f"network.swarm_key_file={ours}", meet=[member])
    member.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    misfit = murmur.peer("c", f"network.swarm_key_file={other}", meet=[member])
    refused = member.wait_for("peer_refused", within_s=START_S)
    told = misfit.wait_for("peer_refused", within_s=START_S)
    assert (refused["remote"], refused["reason"]) == (identity_of(misfit), "swarm_key")
    assert (told["remote"], told["reason"]) == (identity_of(member), "swarm_key")
    assert "murmur swarm-key show" in refused["detail"]
    misfit.wait_for("round_sealed", lambda event: event["admitted"] == 1)
    assert identity_of(misfit) not in {event["remote"] for event in member.named("peer_joined")}
    assert not misfit.named("peer_joined")
    assert friend.stop() == member.stop() == misfit.stop() == 0


def test_peer_whose_swarm_key_file_is_open_to_others_does_not_start_and_names_the_command(murmur: Murmur) -> None:
    file = new_swarm_key(murmur, "ours.key")
    file.chmod(0o644)
    peer = murmur.peer("a", f"network.swarm_key_file={file}")
    assert peer.wait(within_s=START_S) == 2
    assert f"chmod 600 {file}" in peer.output
