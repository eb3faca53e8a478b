"""Check all that a run's folder holds against itself: digests, signatures, links, rules, models, snapshots.

What a clean result proves: every header was signed by its author and every manifest by its sealer, nothing in the chain
was changed afterwards, all counts and rosters follow from it by the rules, and the models that are listed are what the
deltas give. It does not prove that a peer's training was honest, nor that another branch was not final elsewhere.
"""

from collections.abc import Callable

import numpy as np

from peer.agents.first_model import tell_long_draw
from peer.agents.native_agent import NativeAgent
from peer.config.schema import Config
from peer.errors import ProtocolError, StorageError
from peer.history.chain_check import ChainCheck
from peer.history.findings import Findings, ranges
from peer.history.places import RunPlace
from peer.history.replay import Replay
from peer.network.identity import Identity
from peer.policy_description import describe_policy, described_settings
from peer.round_parts import first_entry, round_parts
from peer.rounds.entry import Entry
from peer.rounds.parts import Parts
from peer.rounds.snapshot import decode_snapshot, max_snapshot_bytes
from peer.run_folder import run_folder_name
from peer.settings import ppo_settings
from peer.storage.journal_reader import open_journal_reader
from peer.storage.model_file import MODEL_FILE, ModelFile, load_model, told_count
from peer.storage.payloads import PAYLOADS_FOLDER, PayloadFolder
from peer.storage.snapshots import SNAPSHOTS_FOLDER, Damage, SnapshotStore
from peer.telemetry.plain_text import printable
from peer.types import ModelState, PeerId
from peer.wire.hashing import model_hash


def verify_run(place: RunPlace, config: Config, *, tell: Callable[[str], None] = lambda _: None) -> Findings:
    """Check the folder of a run; it may be in use, or a copy. config: of that run, at least its agreed keys.

    tell: takes what its user should know meanwhile. Raises: StorageError when the folder cannot be read at all.
    """
    settings = ppo_settings(config, PeerId("reader"))
    tell_long_draw(config.env.name, settings, tell)
    agent = NativeAgent(config.env.name, settings=settings)
    parts = round_parts(config, schema=agent.schema, signer=Identity.generate())  # it signs nothing
    findings = Findings()
    model_file = _model_file(place, findings)
    snapshots = _snapshots(place, parts, findings)  # before the journal, which a running peer writes first
    replay = Replay(
        parts,
        payloads=PayloadFolder(place.folder / PAYLOADS_FOLDER, max_bytes=0),
        snapshots={entry.digest: entry.state for entry in snapshots if entry.state is not None},
        findings=findings,
        wanted=None if model_file is None else told_count(model_file.settings, "round"),
    )
    with open_journal_reader(place.journal) as journal:
        journal.hold_still()
        damage = journal.damage()
        if damage is not None:
            findings.problem(None, f"{place.journal.name} is damaged as a file, says SQLite: {printable(damage)}")
        check = ChainCheck(
            first_entry(config, agent), replay=replay, rules=parts.rules, findings=findings, snapshots=snapshots
        )
        check.run(journal, run=parts.run)
        ended = check.ended
    _judge_snapshots(snapshots, findings)
    if model_file is not None:
        _judge_model_file(model_file, config, replay.found, findings, ended=ended)
    _tell_unchecked(place, config, findings)
    return findings


def _snapshots(place: RunPlace, parts: Parts, findings: Findings) -> list[Entry]:
    """Return the states on disk whose model is the one that their signed manifest names."""
    entries: list[Entry] = []
    store = SnapshotStore(place.folder / SNAPSHOTS_FOLDER, keep=2)
    for found in store.held(most_bytes=max_snapshot_bytes(parts.schema)):
        if isinstance(found, Damage):
            findings.problem(None, found.cause)
            continue
        try:
            entry = decode_snapshot(found.content, run=parts.run, schema=parts.schema)
        except ProtocolError as error:
            findings.problem(found.round, f"its snapshot: {error.detail}")
            continue
        if entry.digest != found.digest or entry.round != found.round:
            findings.problem(found.round, "its snapshot is of another manifest than its file says")
        else:
            entries.append(entry)
    return entries


def _judge_snapshots(snapshots: list[Entry], findings: Findings) -> None:
    last = max(findings.manifests, default=0)
    for number, entry in enumerate(snapshots):
        was_left = any(later.round in findings.snapshots for later in snapshots[number + 1 :])  # in the order written
        if entry.round > last and not was_left:
            findings.problem(
                entry.round, f"has a snapshot, but the journal ends at round {last}: its newest rounds were removed"
            )
        elif entry.round not in findings.snapshots:
            findings.unchecked.append(f"the snapshot of round {entry.round}: of another branch than the journal's")


def _model_file(place: RunPlace, findings: Findings) -> ModelFile | None:
    path = place.folder / MODEL_FILE
    if not path.exists():
        return None  # the run goes on
    try:
        return load_model(path)
    except StorageError as error:
        findings.problem(None, str(error))
        return None


def _judge_model_file(
    model_file: ModelFile, config: Config, state: ModelState | None, findings: Findings, *, ended: bool
) -> None:
    """ended: the run is over, so that the file is the chain's; else it may be of a stop before a branch was left."""
    number = printable(model_file.settings.get("round", "?"))
    if not _is_described(model_file, config):
        findings.problem(None, f"{MODEL_FILE} does not describe the policy of this run: its description was replaced")
        return
    if state is None:
        findings.unchecked.append(f"{MODEL_FILE}: the state after round {number} is not known here")
        return
    held = model_file.state
    pairs = (
        (held.params, state.params),
        (held.moments.count, state.moments.count),
        (held.moments.mean, state.moments.mean),
        (held.moments.m2, state.moments.m2),
        (held.outer, state.outer),
    )
    findings.model_file = all(np.array_equal(a, b) for a, b in pairs)
    if findings.model_file:
        return
    if not ended and model_file.settings.get("model_hash") != model_hash(state).hex():
        findings.unchecked.append(f"{MODEL_FILE}: of another branch than the journal's, which went on without it")
    else:
        findings.problem(None, f"{MODEL_FILE} is not the model of round {number}, as it claims: it was replaced")


def _is_described(model_file: ModelFile, config: Config) -> bool:
    """Tell whether the file says of its policy what the run says: the same numbers are another policy otherwise."""
    told, own = model_file.settings, describe_policy(config)
    try:
        return told.get("env") == own["env"] and described_settings(told) == described_settings(own)
    except (KeyError, ValueError):
        return False


def _tell_unchecked(place: RunPlace, config: Config, findings: Findings) -> None:
    known = set(findings.models)  # a snapshot is what its sealer named, and nobody else has computed here
    left = [number for number in findings.manifests if number not in known]
    if left:
        findings.unchecked.append(
            f"the models of rounds {ranges(left)}: this folder lacks the deltas or the state to compute them from"
        )
    if not findings.from_start and place.folder.name != run_folder_name(config):
        findings.unchecked.append(f"whether the settings are the run's: its folder is not {run_folder_name(config)}")
