"""`murmur log --verify`: an honest folder is good, and whatever is changed in one is found and named."""

import shutil
import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from peer.agents import first_model
from peer.history.findings import Findings, ranges
from peer.history.places import find_run
from peer.history.verify import verify_run
from peer.network.identity import Identity
from peer.run_folder import RunFolder
from peer.storage.atomic_file import read_framed, write_framed
from peer.storage.journal import Journal
from peer.storage.model_file import load_model, save_model
from peer.telemetry.sink import RecordingSink
from peer.types import Digest
from peer.wire.hashing import model_hash
from peer.wire.messages import Rejection
from tests.unit.history import tampering
from tests.unit.history.sealed_run import CONFIG, ME, OTHER, Pair, make_run
from tests.unit.storage.journals import held

ROUNDS = 10


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "slot-0", rounds=ROUNDS)


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """Return a copy that the test may change."""
    return Path(shutil.copytree(original, tmp_path / original.name))


def check(folder: Path) -> Findings:
    return verify_run(find_run(folder, slot=None, run=None), CONFIG)


def told(folder: Path) -> list[str]:
    """Return the problems as the user reads them."""
    return [str(problem) for problem in check(folder).problems]


def test_it_says_beforehand_that_it_takes_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_model, "_LONG_S", 0.0)
    said: list[str] = []
    assert verify_run(find_run(folder, slot=None, run=None), CONFIG, tell=said.append).problems == []
    assert ["first weights, which takes about" in line for line in said] == [True]


def test_honest_folder_is_good_from_the_settings_to_the_model_file(folder: Path) -> None:
    findings = check(folder)
    everything = list(range(1, ROUNDS + 1))
    assert findings.problems == []
    assert findings.unchecked == []
    assert findings.manifests == findings.links == findings.models == everything
    assert findings.snapshots == [4, 8, 10]
    assert findings.from_start
    assert findings.model_file
    assert findings.headers in (2 * ROUNDS - 1, 2 * ROUNDS - 2)  # alone in the third round, and maybe in the fourth


def test_checking_changes_no_byte_of_the_folder(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    (folder / "snapshots" / "snapshot-0000000001.bin").write_bytes(b"damaged")
    before[folder / "snapshots" / "snapshot-0000000001.bin"] = b"damaged"
    assert told(folder) != []
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(1, ROUNDS), position=st.floats(0, 1, exclude_max=True), mended=st.booleans())
def test_any_flipped_bit_of_a_manifest_is_found_in_its_round(
    folder: Path,
    number: int,
    position: float,
    mended: bool,  # noqa: FBT001  # drawn by hypothesis
) -> None:
    digest, data = tampering.rows(folder)[number]
    changed = tampering.flip(data, int(position * len(data)))
    try:
        tampering.put_row(folder, number, digest, changed, crc=None if mended else 1)
        problems = check(folder).problems
        assert problems[0].round == number
    finally:
        tampering.put_row(folder, number, digest, data)


def test_changed_digest_is_found(folder: Path) -> None:
    digest, data = tampering.rows(folder)[5]
    tampering.put_row(folder, 5, tampering.flip(digest, 0), data)
    (problem,) = told(folder)
    assert problem.startswith("round 5: the manifest's digest is ")


@pytest.mark.parametrize("number", range(2, ROUNDS))
def test_dropped_round_is_named(folder: Path, number: int) -> None:
    tampering.drop_round(folder, number)
    findings = check(folder)
    assert f"rounds {number} are missing" in str(findings.problems[0])
    assert number + 1 not in findings.links


def test_row_of_a_round_that_nobody_reaches_is_told_at_once(folder: Path) -> None:
    """The rounds between are as many as a row's number can say: to go through them would take for ever."""
    tampering.put_row(folder, 2**62, *tampering.rows(folder)[5])
    assert told(folder) == [
        f"rounds 11 to {2**62 - 1} are missing: somebody removed them from the journal",
        f"round {2**62}: the manifest is of round 5",
    ]


def test_dropped_first_round_is_no_problem_but_told(folder: Path) -> None:
    """The journal drops its oldest rounds itself when it grows too large."""
    tampering.drop_round(folder, 1)
    findings = check(folder)
    assert findings.problems == []
    assert not findings.from_start
    assert findings.unchecked[0].startswith("rounds before 2:")
    assert findings.models == [5, 6, 7, 8, 9, 10]  # from the first snapshot on
    assert any(text.startswith("the models of rounds 2 to 4:") for text in findings.unchecked)


def test_removed_newest_rounds_are_betrayed_by_the_snapshots(folder: Path) -> None:
    for number in (9, 10):
        tampering.drop_round(folder, number)
    assert any("round 10: has a snapshot, but the journal ends at round 8" in problem for problem in told(folder))


def test_state_of_a_longer_branch_that_was_left_for_this_one_is_not_called_removed(folder: Path) -> None:
    """It was written before the newest state of the chain: the peer went over to a better branch of fewer rounds."""
    for number in (9, 10):
        tampering.drop_round(folder, number)
    written = sorted((folder / "snapshots").glob("snapshot-*.bin"))
    written[-1].rename(written[0])
    findings = check(folder)
    assert not findings.problems
    assert "the snapshot of round 10: of another branch than the journal's" in findings.unchecked


def test_journal_that_a_power_cut_has_shortened_reaches_the_newest_snapshot(tmp_path: Path) -> None:
    """What the log beside it holds may be lost; else the folder looks as if its newest rounds had been removed."""
    with RunFolder(tmp_path / "slot-0", CONFIG, sink=RecordingSink()) as kept:
        kept.describe(peer=ME.peer_id, name="peer-1")
        pair = Pair()
        for _ in range(5):
            for effect in pair.seal():
                kept.archive.observe(effect)
            trio.run(kept.archive._write_pending)
        cut = tmp_path / "cut" / kept.path.name
        shutil.copytree(kept.path, cut, ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    findings = check(cut)
    assert findings.problems == []
    assert findings.manifests == [1, 2, 3, 4]
    assert findings.snapshots == [4]


def test_round_moved_to_another_place_is_found(folder: Path) -> None:
    rows = tampering.rows(folder)
    tampering.put_row(folder, 6, *rows[5])
    assert told(folder)[0] == "round 6: the manifest is of round 5"


def test_manifest_sealed_anew_by_its_own_sealer_breaks_the_chain_after_it(folder: Path) -> None:
    """A member can sign whatever it likes; the round after names the original."""
    sealer = next(each for each in (ME, OTHER) if each.peer_id == _sealer(folder, 5))
    lie = Rejection(bytes(32), OTHER.peer_id, "no_payload")
    tampering.seal_anew(folder, 5, sealer, lambda manifest: msgspec.structs.replace(manifest, rejected=(lie,)))
    assert told(folder) == ["round 6: does not build on round 5 before it: one of them was replaced"]


def test_manifest_sealed_anew_by_a_stranger_is_out_of_turn(folder: Path) -> None:
    tampering.seal_anew(folder, 10, Identity.for_tests(3), lambda manifest: manifest)
    assert told(folder)[0].startswith("round 10: breaks the rules: view is ")


@pytest.mark.parametrize(
    ("field", "value"),
    [("env_steps", 10**9), ("score", 999), ("roster", ()), ("stop", "return"), ("round", 11)],
)
def test_count_that_the_headers_do_not_give_is_named(folder: Path, field: str, value: object) -> None:
    """The last round, so that no later one betrays it."""
    if field == "roster":
        manifest = tampering.manifest_of(folder, 10).message
        value = manifest.roster[:1]
    tampering.seal_anew(folder, 10, ME, lambda manifest: msgspec.structs.replace(manifest, **{field: value}))
    assert any(field in problem or "round 11" in problem or "for another round" in problem for problem in told(folder))


def test_swapped_model_hash_is_found_by_computing_the_model_anew(folder: Path) -> None:
    other = tampering.manifest_of(folder, 9).message
    sealer = next(each for each in (ME, OTHER) if each.peer_id == _sealer(folder, 10))
    tampering.seal_anew(folder, 10, sealer, partial(msgspec.structs.replace, model=other.model, parts=other.parts))
    (problem,) = told(folder)
    assert problem.startswith("round 10: its deltas give model ")
    assert problem.endswith("critic layer 1 weight, critic layer 1 bias")


def test_swapped_model_file_is_found(folder: Path) -> None:
    path = folder / "model.safetensors"
    model = load_model(path)
    params = model.state.params.copy()
    params[3] = np.nextafter(params[3], np.float32(9.0))
    save_model(path, replace(model, state=replace(model.state, params=params)))
    assert told(folder) == ["model.safetensors is not the model of round 10, as it claims: it was replaced"]


@pytest.mark.parametrize(
    "told", [{"activation": "relu"}, {"observation_clip": "0.5"}, {"env": "Acrobot-v1"}, {"hidden": "x"}]
)
def test_description_of_another_policy_in_the_model_file_is_found(folder: Path, told: dict[str, str]) -> None:
    """The weights are the run's, and lead to other actions."""
    path = folder / "model.safetensors"
    model = load_model(path)
    save_model(path, replace(model, settings={**model.settings, **told}))
    findings = check(folder)
    assert not findings.model_file
    assert [str(problem) for problem in findings.problems] == [
        "model.safetensors does not describe the policy of this run: its description was replaced"
    ]


def test_changed_memory_of_the_outer_optimizer_in_the_model_file_is_found(folder: Path) -> None:
    path = folder / "model.safetensors"
    model = load_model(path)
    save_model(path, replace(model, state=replace(model.state, outer=np.ones(9, np.float32))))
    assert told(folder) == ["model.safetensors is not the model of round 10, as it claims: it was replaced"]


@pytest.mark.parametrize("number", ["9" * 5000, "\x1b[2J"])
def test_model_file_of_a_round_that_is_no_number_is_told_as_text(folder: Path, number: str) -> None:
    path = folder / "model.safetensors"
    model = load_model(path)
    save_model(path, replace(model, settings={**model.settings, "round": number}))
    (unchecked,) = check(folder).unchecked
    assert unchecked.startswith("model.safetensors: the state after round ")
    assert "\x1b" not in unchecked


def test_model_that_a_sealer_made_up_and_left_a_snapshot_of_does_not_pass_for_checked(folder: Path) -> None:
    """Its deltas are gone, so that nobody can compute it: the snapshot holds what the sealer named."""
    sealer = next(each for each in (ME, OTHER) if each.peer_id == _sealer(folder, 10))
    tampering.make_up_model(folder, 10, sealer)
    findings = check(folder)
    assert findings.problems == []
    assert 10 in findings.snapshots
    assert findings.unchecked == [
        "the models of rounds 10: this folder lacks the deltas or the state to compute them from"
    ]


def test_model_of_a_stop_on_a_branch_that_was_left_is_not_called_false(folder: Path) -> None:
    path = folder / "model.safetensors"
    model = load_model(path)
    state = replace(model.state, params=model.state.params + np.float32(1.0))
    save_model(path, replace(model, state=state, settings={**model.settings, "model_hash": model_hash(state).hex()}))
    findings = check(folder)
    assert not findings.problems
    assert findings.unchecked == ["model.safetensors: of another branch than the journal's, which went on without it"]


def test_swapped_snapshot_is_found_though_its_checksum_holds(folder: Path) -> None:
    newest = max((folder / "snapshots").glob("snapshot-*.bin"))
    content = bytearray(read_framed(newest, kind=b"SNAP"))
    content[-200] ^= 0x01
    write_framed(newest, bytes(content), kind=b"SNAP")
    assert any("its snapshot: " in problem for problem in told(folder))


@pytest.mark.parametrize("index", [0, 1])
def test_changed_delta_is_found_with_its_author(folder: Path, index: int) -> None:
    tampering.change_payload(folder, 6, index)
    (problem,) = told(folder)
    author = sorted([ME.peer_id, OTHER.peer_id])[index]
    assert problem == f"round 6: none of the kept deltas is the one that the header of {author} names"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"codec": "none-such"}, "'none-such', this peer knows"),
        ({"payload_bytes": 1 << 30}, "announced 1073741824 bytes"),
    ],
)
def test_header_that_no_peer_takes_is_named(folder: Path, changes: dict[str, object], why: str) -> None:
    tampering.change_header(folder, 10, (ME, OTHER), **changes)
    (problem,) = told(folder)
    assert problem.startswith(f"round 10: a header that no peer takes: {why}")


@pytest.mark.parametrize("name", ["payloads/round-0000000000006.bin", "snapshots/snapshot-0000000009.bin"])
def test_file_larger_than_any_of_the_run_is_not_read_into_memory(folder: Path, name: str) -> None:
    write_framed(folder / name, bytes(60_000_000), kind=name[:4].upper().encode())
    tracemalloc.start()
    problems = told(folder)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert any(f"{name} is damaged: expected at most " in problem for problem in problems)


def test_damaged_delta_file_is_named(folder: Path) -> None:
    path = folder / "payloads" / "round-0000000000006.bin"
    path.write_bytes(tampering.flip(path.read_bytes(), 60))
    (problem,) = told(folder)
    assert problem.startswith(f"round 6: {path} is damaged: its checksum does not match")


def test_lost_deltas_are_told_and_not_taken_for_checked(folder: Path) -> None:
    shutil.rmtree(folder / "payloads")
    findings = check(folder)
    assert findings.problems == []
    assert findings.models == []
    assert findings.unchecked == [
        "the models of rounds 1 to 10: this folder lacks the deltas or the state to compute them from"
    ]


def test_other_settings_do_not_pass_for_the_runs_own(folder: Path) -> None:
    other = CONFIG.model_copy(update={"run": CONFIG.run.model_copy(update={"seed": 2})})
    findings = verify_run(find_run(folder, slot=None, run=None), other)
    assert str(findings.problems[0]).startswith("round 1: does not begin with the model and the settings of this run")


def test_gap_that_the_peer_knows_of_is_not_a_problem(folder: Path) -> None:
    """As after a state that was taken over whole: the peer itself never had the rounds before it."""
    rows = tampering.rows(folder)
    journal = Journal(folder / "journal.sqlite", max_bytes=1 << 24)
    kept = held(folder / "journal.sqlite")[6:]
    journal.replace_from(3, [])
    for entry, parent in zip(kept, [rows[number][0] for number in range(6, ROUNDS)], strict=True):
        journal.replace_from(entry.round, [entry], previous=Digest(parent))
    journal.close()
    findings = check(folder)
    assert findings.problems == []
    assert findings.unchecked[0].startswith("what lies between rounds 2 and 7:")
    assert findings.links == [1, 2, 8, 9, 10]


@pytest.mark.parametrize(
    ("numbers", "text"), [([], "none"), ([4], "4"), ([1, 2, 3], "1 to 3"), ([1, 2, 4, 6, 7], "1 to 2, 4, 6 to 7")]
)
def test_ranges_of_rounds(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text


def _sealer(folder: Path, number: int) -> str:
    return tampering.manifest_of(folder, number).peer
