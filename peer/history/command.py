"""`murmur log`, without its command line: which folder, what of it, and in which form."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from peer.config.digest import Differences, differences
from peer.config.schema import Config
from peer.errors import ConfigError, StorageError
from peer.history.contributions import sum_up
from peer.history.objects import record_object, totals_object
from peer.history.places import RunPlace, find_run
from peer.history.record import Record, read_records
from peer.history.text import known_peers, record_lines, totals_lines
from peer.storage.about_file import ABOUT_FILE
from peer.storage.journal_reader import open_journal_reader
from peer.types import PeerId
from peer.wire.limits import PROTOCOL_VERSION

_VERSION = re.compile(r"-v(\d+)$")
"""The end of the name of a run's folder (`peer.run_folder`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """What the command line says. count: rounds shown; None: all. peer: a name, or the beginning or end of an id.

    config: returns the run's configuration where the user gave one; None: the folder's own description of it counts.
    """

    data_dir: Path
    slot: int | None = None
    run: str | None = None
    count: int | None = None
    peer: str | None = None
    stat: bool = False
    oneline: bool = False
    json: bool = False
    config: Callable[[], Config] | None = None


def history_lines(place: RunPlace, options: LogOptions) -> Iterator[str]:
    """Yield the rounds newest first, or with `stat` their sums. Raises: StorageError, ValueError."""
    with open_journal_reader(place.journal) as journal:
        records = read_records(journal.rows(newest_first=True), run=None)
        chosen = islice(_of_peer(records, place, options.peer), options.count)
        if options.stat:
            totals = sum_up(chosen)
            yield from (
                [json.dumps(totals_object(totals, place.names))] if options.json else totals_lines(totals, place.names)
            )
            return
        for record in chosen:
            if options.json:
                yield json.dumps(record_object(record, place.names))
            else:
                yield from record_lines(record, place.names, oneline=options.oneline)


def verify_lines(
    place: RunPlace, options: LogOptions, *, tell: Callable[[str], None] = lambda _: None
) -> tuple[list[str], bool]:
    """Return the verdict and whether it is good. tell: as of `verify_run`. Raises: StorageError, ConfigError."""
    from peer.history.verdict import verdict_lines, verdict_object
    from peer.history.verify import verify_run  # loads the core, which showing the chain has no need of
    from peer.python_envs.trust import register_env_of_file

    _refuse_other_version(place)
    if options.config is None:
        config = _own_config(place)
        consent = "give the run's configuration (--config)"
        register_env_of_file(config.env.name, file=place.folder / ABOUT_FILE, consent=consent)
    else:
        config = options.config()
        _refuse_other_run(place, config)
    findings = verify_run(place, config, tell=tell)
    lines = [json.dumps(verdict_object(findings))] if options.json else list(verdict_lines(findings))
    return lines, not findings.problems


def place_of(options: LogOptions) -> RunPlace:
    """Raises: StorageError when there is no such run."""
    return find_run(options.data_dir, slot=options.slot, run=options.run)


def place_line(place: RunPlace) -> str:
    """Say which folder it is, and that there are others."""
    owner = f", kept by {place.about.name}" if place.about is not None else ""
    more = f"; {len(place.others)} more: --slot, --run" if place.others else ""
    return f"{place.folder}{owner}{more}"


def _refuse_other_version(place: RunPlace) -> None:
    """No message of another protocol can be checked, and each would look like a forged one."""
    told = _VERSION.search(place.folder.name)
    if told is not None and int(told[1]) != PROTOCOL_VERSION:
        raise ConfigError(
            f"{place.folder} is of protocol version {told[1]}, this program checks {PROTOCOL_VERSION}: use the one that"
            " wrote it"
        )


def _own_config(place: RunPlace) -> Config:
    if place.about is None:
        raise StorageError(
            f"{place.folder} does not say which settings it is of (about.json): start its peer once, or give the"
            " run's configuration (--config)"
        )
    try:
        config = Config.model_validate_json(place.about.settings)
    except ValueError as error:
        raise ConfigError(
            f"{place.folder}/about.json holds settings that this version does not know: give the run's configuration"
            f" (--config), or use the version that wrote it ({str(error).splitlines()[0]})"
        ) from error
    _refuse_other_keys(place, differences(place.about.settings, config))
    return config


def _refuse_other_run(place: RunPlace, config: Config) -> None:
    """Held against the settings of another run, every round would be wrong: say once that it is another.

    Nothing rests on what the folder says here: whoever writes another run's settings into it gets no check for it.
    """
    differing = None if place.about is None else differences(place.about.settings, config)
    _refuse_other_keys(place, differing)
    if differing is not None and differing.changed:
        raise ConfigError(
            f"{place.folder} is of a run with other settings than those given with --config: they differ in"
            f" {', '.join(differing.changed)}; name the other run's folder (--run, --data-dir), or leave out --config"
            " to check it against the settings that it names itself"
        )


def _refuse_other_keys(place: RunPlace, differing: Differences | None) -> None:
    """The chain begins with the digest of the keys that there were, and would look like a replaced one."""
    if differing is None or not differing.is_of_other_keys:
        return
    keys = f"had no {', '.join(differing.missing)}" if differing.missing else "had keys that this one does not know"
    raise ConfigError(f"{place.folder}/{ABOUT_FILE} was written by another version, which {keys}: use that one")


def _of_peer(records: Iterator[Record], place: RunPlace, wanted: str | None) -> Iterator[Record]:
    """Keep the rounds that a peer had part in. Raises: ValueError at the end when no round named such a peer."""
    if wanted is None:
        yield from records
        return
    seen: set[PeerId] = set()
    found = False
    for record in records:
        seen |= record.peers
        if any(_is_meant(peer, wanted, place) for peer in record.peers):
            found = True
            yield record
    if not found:
        raise ValueError(f"--peer: no round names {wanted!r}; it names {known_peers(sorted(seen), place.names)}")


def _is_meant(peer: PeerId, wanted: str, place: RunPlace) -> bool:
    return wanted == place.names.name_of(peer) or peer == wanted or (len(wanted) >= 4 and peer.endswith(wanted))
