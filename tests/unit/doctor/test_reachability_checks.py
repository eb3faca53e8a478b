"""What the doctor says of announced addresses and of what dial-back found."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from peer.config.schema import Config
from peer.doctor import reachability_checks
from peer.doctor.finding import Finding
from peer.doctor.reachability_checks import check_announced
from peer.services.status_answer import Status
from tests.unit.services.statuses import status


def config(folder: Path, **network: object) -> Config:
    made = Config()
    return made.model_copy(
        update={
            "network": made.network.model_copy(update=network),
            "storage": made.storage.model_copy(update={"data_dir": str(folder)}),
        }
    )


def findings(monkeypatch: pytest.MonkeyPatch, folder: Path, reached: list[str] | None) -> list[Finding]:
    (folder / "slot-0").mkdir()

    def running(_slot: Path, *, timeout_s: float) -> Status:
        return status_with(reached)

    monkeypatch.setattr(reachability_checks, "read_status", running)
    return list(check_announced(config(folder, announce=("/ip4/192.0.2.7/tcp/1",))))[1:]


def status_with(reached: list[str] | None) -> Status:
    return replace(status(), announced=["/ip4/192.0.2.7/tcp/1"], reached=reached)


def test_interface_that_is_missing_is_a_failure_with_a_next_step(tmp_path: Path) -> None:
    [finding] = check_announced(config(tmp_path, interface="no-such0"))
    assert finding.verdict == "fail"
    assert "no-such0" in finding.text
    assert "network.announce" in (finding.next_step or "")


def test_port_that_is_not_known_yet_is_not_told_as_0(tmp_path: Path) -> None:
    [finding] = check_announced(config(tmp_path, listen_host="192.0.2.7", port=0))
    assert finding.text == "others are told /ip4/192.0.2.7/tcp/(any free port)"


def test_explicit_addresses_are_told(tmp_path: Path) -> None:
    [finding] = check_announced(config(tmp_path, announce=("/ip4/192.0.2.7/tcp/1",)))
    assert (finding.verdict, finding.text) == ("ok", "others are told /ip4/192.0.2.7/tcp/1")


@pytest.mark.parametrize(
    ("reached", "verdict", "words"),
    [
        (["/ip4/192.0.2.7/tcp/1"], "ok", "was reached at /ip4/192.0.2.7/tcp/1"),
        ([], "warn", "nobody could reach it at /ip4/192.0.2.7/tcp/1"),
        (None, "warn", "no other peer has tried"),
    ],
)
def test_running_peer_says_what_dial_back_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reached: list[str] | None, verdict: str, words: str
) -> None:
    [finding] = findings(monkeypatch, tmp_path, reached)
    assert finding.verdict == verdict
    assert words in finding.text


def test_running_peer_whose_identity_another_process_has_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "slot-0").mkdir()
    resting = replace(status(), superseded="this identity runs twice")
    monkeypatch.setattr(reachability_checks, "read_status", lambda _slot, **_: resting)
    finding = list(check_announced(config(tmp_path, announce=("/ip4/192.0.2.7/tcp/1",))))[-1]
    assert finding.verdict == "fail"
    assert "takes no part" in finding.text


def test_folder_without_a_running_peer_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "slot-0").mkdir()
    assert len(list(check_announced(config(tmp_path)))) == 1
