"""Real processes that may not take part: refused at once, named on both sides, and told what to do."""

from pathlib import Path

from tests.process.murmur import ENDLESS, START_S, Murmur, address_of, identity_of


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
    doctor = murmur.run(
        "doctor", *ENDLESS, f"network.swarm_key_file={other}", f"network.addresses=[{address_of(member)}]"
    )
    assert doctor.wait(within_s=START_S) == 1
    assert "would refuse us (swarm_key): its swarm key is not ours" in doctor.output
    assert identity_of(misfit) not in {event["remote"] for event in member.named("peer_joined")}
    assert not misfit.named("peer_joined")
    assert friend.stop() == member.stop() == misfit.stop() == 0


def test_peer_whose_swarm_key_file_is_open_to_others_does_not_start_and_names_the_command(murmur: Murmur) -> None:
    file = new_swarm_key(murmur, "ours.key")
    file.chmod(0o644)
    peer = murmur.peer("a", f"network.swarm_key_file={file}")
    assert peer.wait(within_s=START_S) == 2
    assert f"chmod 600 {file}" in peer.output


def test_peer_that_is_not_on_the_allow_list_is_refused_until_a_new_version_names_it(murmur: Murmur) -> None:
    """The new version is put into the file of one running peer alone; nothing is restarted."""

    def ran(*arguments: str) -> str:
        made = murmur.run(*arguments)
        assert made.wait(within_s=START_S) == 0, made.output
        return made.output

    chief = ran("identity", "new", str(murmur.folder / "chief.key"))
    ids = [ran("identity", "new", str(murmur.folder / name / "slot-0" / "identity.key")) for name in ("a", "b", "c")]
    file = murmur.folder / "swarm.json"
    ran("allow-list", "new", str(file), "--run", "cartpole")
    for peer_id in ids[:2]:
        ran("allow-list", "add", str(file), peer_id)
    ran("allow-list", "sign", str(file), "--key", str(murmur.folder / "chief.key"))
    believes = f"network.authorities=[{chief}]"
    member = murmur.peer("a", believes, f"network.allow_list={file}")
    friend = murmur.peer("b", believes, meet=[member])
    outsider = murmur.peer("c", believes, meet=[member])
    refused = member.wait_for("peer_refused", within_s=START_S)
    assert (refused["remote"], refused["reason"]) == (ids[2], "not_allowed")
    assert outsider.wait_for("not_allowed", within_s=START_S)["peer_id"] == ids[2]
    assert friend.wait_for("allow_list_adopted", within_s=START_S)["version"] == 1
    member.wait_for("round_sealed", lambda event: event["admitted"] == 2, within_s=START_S)
    ran("allow-list", "add", str(file), ids[2])
    ran("allow-list", "sign", str(file), "--key", str(murmur.folder / "chief.key"))
    friend.wait_for("allow_list_adopted", lambda event: event["version"] == 2, within_s=START_S)
    outsider.wait_for("round_sealed", lambda event: event["admitted"] == 3, within_s=START_S)
    assert friend.stop() == member.stop() == outsider.stop() == 0
