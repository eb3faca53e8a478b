"""The doctor on who may take part: each file that decides it, found wanting in each way."""

from pathlib import Path

import pytest

from peer.admission.allow_list import AllowListFile, Listed, signed
from peer.config.schema import Config
from peer.doctor.admission_checks import check_admission
from peer.doctor.finding import Finding
from peer.network.identity import Identity
from peer.network.key_file import load_or_create_identity
from peer.round_parts import wire_run_id
from peer.run_folder import run_folder_name
from peer.storage.proofs_file import save_proofs
from peer.storage.swarm_key_file import write_new_swarm_key
from peer.wire.envelope import seal
from peer.wire.messages import Ack
from tests.unit.doctor.findings import only

CHIEF, OTHER = Identity.for_tests(70), Identity.for_tests(8)


def config_in(folder: Path, **network: object) -> Config:
    return Config.model_validate({"storage": {"data_dir": str(folder)}, "network": network})


def findings(config: Config) -> list[Finding]:
    return list(check_admission(config))


def write_list(
    path: Path, *peers: str, signer: Identity | None = CHIEF, run: str = "cartpole", version: int = 2
) -> Path:
    file = AllowListFile(run=run, version=version, peers=tuple(Listed(peer=peer) for peer in sorted(peers)))
    path.write_bytes((file if signer is None else signed(file, signer)).text())
    return path


def test_an_open_swarm_is_said_to_be_open(tmp_path: Path) -> None:
    finding = only(findings(config_in(tmp_path)))
    assert (finding.verdict, "open" in finding.text) == ("ok", True)


def test_a_swarm_key_file_is_found_missing_or_open_to_others_or_good(tmp_path: Path) -> None:
    file = tmp_path / "swarm.key"
    config = config_in(tmp_path, swarm_key_file=str(file))
    missing = only(findings(config))
    assert (missing.verdict, "swarm-key new" in missing.text) == ("fail", True)
    key = write_new_swarm_key(file)
    good = only(findings(config))
    assert (good.verdict, key.fingerprint in good.text) == ("ok", True)
    file.chmod(0o644)
    exposed = only(findings(config))
    assert (exposed.verdict, f"chmod 600 {file}" in exposed.text) == ("fail", True)


def test_a_peer_that_the_list_does_not_name_is_told_the_command(tmp_path: Path) -> None:
    own = load_or_create_identity(tmp_path / "slot-0" / "identity.key").peer_id
    file = write_list(tmp_path / "list.json", OTHER.peer_id)
    config = config_in(tmp_path, authorities=(CHIEF.peer_id,), allow_list=str(file))
    good, unnamed = findings(config)
    assert (good.verdict, "version 2 names 1 peer;" in good.text, "days old" in good.text) == ("ok", True, True)
    assert (unnamed.verdict, own in unnamed.next_step) == ("fail", True)
    write_list(file, OTHER.peer_id, own, version=3)
    assert [finding.verdict for finding in findings(config)] == ["ok"]


@pytest.mark.parametrize(
    ("signer", "run", "said"),
    [
        (None, "cartpole", "0 valid signatures"),
        (OTHER, "cartpole", "0 valid signatures"),
        (CHIEF, "another", "it is for run another"),
    ],
)
def test_a_list_that_is_not_valid_is_named_with_the_cause(
    tmp_path: Path, signer: Identity | None, run: str, said: str
) -> None:
    load_or_create_identity(tmp_path / "slot-0" / "identity.key")
    file = write_list(tmp_path / "list.json", OTHER.peer_id, signer=signer, run=run)
    bad, none = findings(config_in(tmp_path, authorities=(CHIEF.peer_id,), allow_list=str(file)))
    assert (bad.verdict, said in bad.text) == ("fail", True)
    assert (none.verdict, "no valid one" in none.text) == ("warn", True)


def test_the_newest_list_counts_wherever_it_lies(tmp_path: Path) -> None:
    own = load_or_create_identity(tmp_path / "slot-0" / "identity.key").peer_id
    file = write_list(tmp_path / "list.json", own, version=2)
    write_list(tmp_path / "slot-0" / "allow-list.json", OTHER.peer_id, version=5)
    good, unnamed = findings(config_in(tmp_path, authorities=(CHIEF.peer_id,), allow_list=str(file)))
    assert "version 5" in good.text
    assert unnamed.verdict == "fail"


def test_authorities_without_an_identity_here_say_how_to_make_one(tmp_path: Path) -> None:
    file = write_list(tmp_path / "list.json", OTHER.peer_id)
    _good, none = findings(config_in(tmp_path, authorities=(CHIEF.peer_id,), allow_list=str(file)))
    assert (none.verdict, "identity new" in none.next_step) == ("warn", True)


def test_denied_peers_are_named_with_what_they_did_and_a_damaged_file_is_told(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    votes = [
        seal(Ack(41, b"p" * 32, manifest, b"x" * 32, 0), OTHER, run=wire_run_id(config)).data
        for manifest in (b"m" * 32, b"n" * 32)
    ]
    file = tmp_path / "slot-0" / run_folder_name(config) / "denied.proofs"
    file.parent.mkdir(parents=True)
    save_proofs(file, [(votes[0], votes[1])])
    _open, denied = findings(config)
    assert OTHER.peer_id in denied.text
    assert "voted twice in round 41" in denied.text
    file.write_bytes(file.read_bytes()[:-1])
    _open, damaged = findings(config)
    assert damaged.verdict == "warn"
