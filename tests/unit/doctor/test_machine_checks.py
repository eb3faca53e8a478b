"""The doctor on one machine: each fault planted is found, named, and given a next step."""

from pathlib import Path

import pytest

from peer.agents import first_model
from peer.config.schema import Config
from peer.doctor import machine_checks
from peer.doctor.finding import Finding, failed, line
from peer.network.identity import Identity
from peer.network.key_file import load_or_create_identity
from peer.python_envs.registration import register_env
from tests.unit.doctor.findings import only
from tests.unit.python_envs.sample_envs import name


def config_in(folder: Path, **sections: dict[str, object]) -> Config:
    return Config.model_validate({"storage": {"data_dir": str(folder)}, **sections})


def test_a_usable_disk_is_left_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    finding = only(list(machine_checks.check_disk(config_in(folder))))
    assert finding.verdict in ("ok", "warn")
    assert not folder.exists()


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    assert only(list(machine_checks.check_disk(config_in(tmp_path / "new" / "runs")))).verdict in ("ok", "warn")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "slot-0").mkdir()
    list(machine_checks.check_disk(config_in(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["slot-0"]


def test_a_file_where_the_folder_should_be_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    finding = only(list(machine_checks.check_disk(config_in(tmp_path / "runs"))))
    assert finding.verdict == "fail"
    assert "runs" in finding.text


@pytest.mark.parametrize(("free", "verdict"), [(1 << 20, "fail"), (100 << 20, "warn"), (1 << 40, "ok")])
def test_free_space_is_judged_by_what_a_peer_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, verdict: str
) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert only(list(machine_checks.check_disk(config_in(tmp_path)))).verdict == verdict


def test_identities_are_listed_and_a_copied_one_is_named(tmp_path: Path) -> None:
    first, second = (tmp_path / f"slot-{index}" / "identity.key" for index in range(2))
    peer_id = load_or_create_identity(first).peer_id
    second.parent.mkdir()
    second.write_bytes(first.read_bytes())
    second.chmod(0o600)
    ok, copied = machine_checks.check_identities(config_in(tmp_path))
    assert (ok.verdict, peer_id in ok.text) == ("ok", True)
    assert (copied.verdict, str(first) in copied.text, str(second) in copied.text) == ("fail", True, True)


@pytest.mark.parametrize("damage", ["open", "short"])
def test_a_bad_key_file_does_not_hide_the_next(tmp_path: Path, damage: str) -> None:
    bad, good = (tmp_path / f"slot-{index}" / "identity.key" for index in range(2))
    for path in (bad, good):
        load_or_create_identity(path)
    if damage == "open":
        bad.chmod(0o644)
    else:
        bad.write_bytes(b"x")
    verdicts = [finding.verdict for finding in machine_checks.check_identities(config_in(tmp_path))]
    assert verdicts == ["fail", "ok"]


def test_compute_says_what_would_train_and_what_cannot(tmp_path: Path) -> None:
    fine = only(list(machine_checks.check_compute(config_in(tmp_path))))
    assert fine.verdict == "ok"
    assert "cpu" in fine.text
    unknown = only(list(machine_checks.check_compute(config_in(tmp_path, env={"name": "CartPole-v7"}))))
    assert unknown.verdict == "fail"
    assert "CartPole-v7" in unknown.text
    register_env(name("Locked-v0"))
    failing = only(list(machine_checks.check_compute(config_in(tmp_path, env={"name": name("Locked-v0")}))))
    assert (failing.verdict, failing.next_step) == ("fail", "repair the environment")
    assert "the door is locked" in failing.text


def test_compute_says_beforehand_that_it_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_model, "_LONG_S", 0.0)
    first, last = machine_checks.check_compute(config_in(tmp_path))
    assert "first weights, which takes about" in first.text
    assert (first.verdict, last.verdict) == ("ok", "ok")


def test_a_clock_before_this_program_existed_is_a_warning() -> None:
    assert only(list(machine_checks.check_clock(0.0))).verdict == "warn"
    assert only(list(machine_checks.check_clock())).verdict == "ok"


def test_findings_read_as_lines_and_a_failure_must_help() -> None:
    finding = Finding(verdict="fail", subject="disk", text="full", next_step="free some")
    assert line(finding).splitlines() == ["FAIL  disk      full", " " * 16 + "-> free some"]
    assert failed([finding])
    assert not failed([Finding(verdict="warn", subject="x", text="y")])
    with pytest.raises(ValueError, match="next step"):
        Finding(verdict="fail", subject="disk", text="full")


def test_identity_of_a_peer_is_never_shown_by_its_secret(tmp_path: Path) -> None:
    path = tmp_path / "slot-0" / "identity.key"
    secret = load_or_create_identity(path).secret_seed
    texts = [finding.text for finding in machine_checks.check_identities(config_in(tmp_path))]
    assert secret.hex() not in "".join(texts)
    assert Identity(secret).peer_id in texts[0]


@pytest.mark.parametrize(("permitted", "verdict"), [(100, "warn"), (65_536, "ok")])
def test_open_files_are_compared_with_what_the_connections_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, permitted: int, verdict: str
) -> None:
    monkeypatch.setattr(machine_checks, "permitted_files", lambda: permitted)
    finding = only(list(machine_checks.check_open_files(config_in(tmp_path, network={"max_connections": 500}))))
    assert finding.verdict == verdict
    assert "500 connections" in finding.text
