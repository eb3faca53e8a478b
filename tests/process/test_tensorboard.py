"""Peers that write for TensorBoard: its own reader finds what log and journal say, after restarts and failures too."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.event_reader import event_files, read_scalars, read_text
from tests.process.murmur import START_S, Murmur, MurmurProcess

TWO_VARIANTS = "env.variants={standard: {}, heavy-pole: {params: {masspole: 0.3}}}"


def folder_of(murmur: Murmur, name: str) -> Path:
    (folder,) = (murmur.folder / name / "tb").glob("cartpole-*/*")
    return folder


def wait_until_written(folder: Path, number: int) -> None:
    """Wait until that round is in the files."""
    deadline = time.monotonic() + START_S
    while number not in read_scalars(folder).get("swarm/round", {}).values():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def sealed(process: MurmurProcess, field: str) -> dict[int, float]:
    """Return a field of the rounds in the log, by env steps."""
    return {event["env_steps"]: event[field] for event in process.named("round_sealed") if event[field] is not None}


def own_returns(process: MurmurProcess) -> list[float]:
    """Return those of the rounds that it trained in; the log must be of level debug."""
    return [event["mean_return"] for event in process.named("round_trained") if event["mean_return"] is not None]


def wait_for_own_returns(process: MurmurProcess, count: int) -> None:
    process.wait_for("round_trained", lambda _: len(own_returns(process)) >= count, within_s=START_S)


def test_two_peers_write_what_their_logs_and_the_journal_say(murmur: Murmur) -> None:
    first = murmur.peer("a", "log.tensorboard=tb", "log.level=debug", TWO_VARIANTS)
    second = murmur.peer(
        "b", "log.tensorboard=tb", "log.level=debug", TWO_VARIANTS, "network.peer_name=beta", meet=[first]
    )
    first.wait_for("round_sealed", lambda event: event["roster"] == 2, within_s=START_S)
    for peer in (first, second):
        wait_for_own_returns(peer, 4)
    tip = first.named("round_sealed")[-1]["round"]
    for peer in (first, second):
        peer.wait_for_round(tip + 4)
    for peer in (second, first):
        assert peer.stop() == 0, peer.output
    for name, peer, own in (("a", first, "peer-1~"), ("b", second, "beta~")):
        folder = folder_of(murmur, name)
        assert folder.name == own + peer.named("peer_started")[0]["peer_id"][-6:]
        read = read_scalars(folder)
        for tag, field in (("swarm/return", "mean_return"), ("swarm/admitted", "admitted")):
            told = sealed(peer, field)  # with the rounds of a chain that was left
            assert len(read[tag]) > 2, tag
            assert read[tag] == pytest.approx({step: told[step] for step in read[tag]}), tag
        returns, own_shown = own_returns(peer), read["rollout/ep_rew_mean"].values()
        assert len(own_shown) > 2
        assert min(returns) - 0.01 <= min(own_shown) <= max(own_shown) <= max(returns) + 0.01
        assert read["rollout/ep_len_mean"] == pytest.approx(read["rollout/ep_rew_mean"])  # a step is rewarded by 1
        for tag in ("time/fps", "time/waited_s", "train/loss", "network/sent_bytes", "swarm/rounds_not_final"):
            assert len(read[tag]) > 2, tag
        assert any(tag.startswith("variants/") for tag in read)
        assert "run.name=" in read_text(folder, "settings")
    log = murmur.run("log", "--json", "--data-dir", str(murmur.folder / "a"))
    assert log.wait(within_s=START_S) == 0, log.output
    rounds = [json.loads(line) for line in log.lines if line.startswith("{")]
    shown = read_scalars(folder_of(murmur, "a"))["swarm/return"]
    known = {entry["env_steps"]: entry["return"] for entry in rounds if entry["return"] is not None}
    assert known
    assert {step: shown[step] for step in known} == pytest.approx(known)


def test_a_peer_that_was_killed_goes_on_in_its_folder(murmur: Murmur) -> None:
    settings = ("log.tensorboard=tb", "round.snapshot_every=5")
    peer = murmur.peer("a", *settings)
    peer.wait_for_round(6)
    wait_until_written(folder_of(murmur, "a"), 6)  # and so what comes before the state that it goes on from
    peer.send(signal.SIGKILL)
    peer.wait()
    again = murmur.peer("a", *settings)
    restored = again.wait_for("state_restored", within_s=START_S)
    again.wait_for_round(restored["round"] + 3)
    assert again.stop() == 0, again.output
    folder = folder_of(murmur, "a")
    assert [file.name.rpartition(".")[2] for file in event_files(folder)] == ["boot-1", "boot-2"]
    rounds = read_scalars(folder)["swarm/round"]
    assert list(rounds.values()) == list(range(1, len(rounds) + 1))
    lost = [event["env_steps"] for event in peer.named("round_sealed") if event["round"] > restored["round"]]
    assert not set(lost) & set(rounds) - set(sealed(again, "round"))


def test_a_folder_that_cannot_be_written_is_told_and_costs_no_training(murmur: Murmur) -> None:
    (murmur.folder / "a").mkdir()
    (murmur.folder / "a" / "tb").write_text("mine")
    peer = murmur.peer("a", "log.tensorboard=tb")
    failed = peer.wait_for("storage_failed", within_s=START_S)
    assert failed["operation"] == "write TensorBoard files"
    assert "a file stands where a folder is needed: move it away" in failed["cause"]
    first = peer.named("round_sealed")[-1]["round"]
    peer.wait_for_round(first + 3)
    assert len(peer.named("storage_failed")) < peer.named("round_sealed")[-1]["round"]
    (murmur.folder / "a" / "tb").unlink()
    peer.wait_for("storage_recovered")
    assert peer.stop() == 0, peer.output
    assert min(read_scalars(folder_of(murmur, "a"))["swarm/round"].values()) == 1


def test_a_missing_package_is_told_at_the_start(murmur: Murmur) -> None:
    (murmur.folder / "site").mkdir()
    (murmur.folder / "site" / "sitecustomize.py").write_text("import sys\nsys.modules['tensorboardX'] = None\n")
    env = {"PYTHONPATH": str(murmur.folder / "site")}
    peer = murmur.peer("a", "log.tensorboard=tb", env=env)
    assert peer.wait(within_s=START_S) == 2
    assert peer.lines == [
        "murmur: log.tensorboard needs tensorboardX, which is not installed: pip install tensorboardX"
    ]
    without = murmur.peer("a", env=env)
    without.wait_for("round_sealed", within_s=START_S)
    assert without.stop() == 0
