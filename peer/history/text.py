"""The chain and its sums as text: one line a round and one for each of its peers, newest first."""

from collections.abc import Iterator, Sequence

from peer.history.contributions import Contribution, Totals
from peer.history.record import Record
from peer.rounds.entry import Entry, members_of
from peer.rounds.manifest import STOP_RETURN, agreed_return
from peer.telemetry.names import NameBook
from peer.telemetry.plain_text import amount, number, plural, printable, sealed_model, short
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import DeltaHeader, GroupSeal

_NAME_WIDTH = 10


def record_lines(record: Record, names: NameBook, *, oneline: bool) -> Iterator[str]:
    """Yield the lines of one round."""
    if record.entry is None:
        yield f"round {record.round} CANNOT BE READ | {printable(record.damage)}"
        return
    yield _headline(record.entry, names)
    if oneline:
        return
    for header in record.entry.headers:
        yield f"    {_admitted(header, names)}"
    for seal in record.entry.groups:
        yield f"    {_group(seal, names)}"
        for peer, member in zip(members_of(seal.message), seal.message.members, strict=True):
            yield f"      {_name(names, peer)} {member.env_steps:>11,} env steps | {amount(member.steps_per_s)} steps/s"
    for item in record.entry.roster:
        if item.missed:
            yield f"    {_name(names, item.peer)} absent, {item.missed} in a row"
    for rejection in record.rejected:
        yield f"    {_name(names, rejection.peer)} REJECTED: {printable(rejection.reason)}"
    if record.entry.stop:
        yield f"    the run ended here: {_stop(record.entry)}"


def totals_lines(totals: Totals, names: NameBook) -> Iterator[str]:
    """Yield a table of the peers, most env steps first, then what was rejected."""
    rounds = f"{plural(totals.rounds, 'round')}, {totals.first_round} to {totals.last_round}"
    yield f"{rounds}; {plural(len(totals.contributions), 'peer')}; {totals.env_steps:,} env steps"
    if totals.unreadable:
        yield f"{totals.unreadable} more rounds cannot be read: murmur log --verify says why"
    yield f"{'peer':{_NAME_WIDTH}}  {'rounds':>7}  {'env steps':>15}  {'share':>6}  {'sealed':>6}  first to last"
    for row in totals.contributions:
        yield _contribution(row, totals, names)
    rejected = [(row, reason, count) for row in totals.contributions for reason, count in sorted(row.rejected.items())]
    yield "" if rejected else "nothing was rejected"
    for row, reason, count in rejected:
        yield f"{_name(names, row.peer)}  {plural(count, 'delta')} REJECTED: {printable(reason)}"


def known_peers(peers: Sequence[PeerId], names: NameBook) -> str:
    """Return a list for error messages."""
    return ", ".join(names.name_of(peer) for peer in sorted(peers)) or "none"


def _headline(entry: Entry, names: NameBook) -> str:
    backup = "" if entry.view == 0 else f" (backup {entry.view})"
    sealer = "nobody" if entry.sealer is None else names.name_of(entry.sealer)
    greedy = agreed_return(entry.deltas)
    parts = [
        f"round {entry.round} {entry.digest.hex()[:10]}",
        f"return {'-' if greedy is None else number(greedy)}",
        _peers(entry),
        f"{amount(_env_steps(entry))} env steps, {amount(entry.env_steps)} in all",
        f"sealed by {sealer}{backup}",
        sealed_model(entry.model, round_number=entry.round, kept=entry.stop == STOP_RETURN),
    ]
    return " | ".join(parts)


def _admitted(header: Signed[DeltaHeader], names: NameBook) -> str:
    said = header.message
    parts = [
        f"{_name(names, header.peer)} {said.env_steps:>11,} env steps",
        f"return {number(float('nan') if said.mean_return is None else said.mean_return):>7}",
        f"{amount(said.steps_per_s):>5} steps/s",
        f"{said.payload_bytes:,} bytes {printable(said.codec)}",
    ]
    return " | ".join([*parts, *([printable(", ".join(said.tasks))] if said.tasks else [])])


def _contribution(row: Contribution, totals: Totals, names: NameBook) -> str:
    share = row.env_steps / totals.env_steps if totals.env_steps else 0.0
    rounds = f"{row.rounds}/{totals.rounds}"
    return (
        f"{_name(names, row.peer)}  {rounds:>7}  {row.env_steps:>15,}  {share:>6.1%}  {row.sealed:>6}"
        f"  {row.first_round} to {row.last_round}"
    )


def _env_steps(entry: Entry) -> int:
    return sum(delta.message.env_steps for delta in entry.deltas)


def _peers(entry: Entry) -> str:
    if not entry.groups:
        return f"{len(entry.headers)}/{len(entry.roster)} peers"
    # the roster is not in such a manifest
    return f"{plural(len(entry.admitted), 'peer')} in {plural(len(entry.groups), 'group')}"


def _group(seal: Signed[GroupSeal], names: NameBook) -> str:
    said = seal.message
    parts = [
        f"group {said.group:<4} {said.env_steps:>11,} env steps",
        f"return {number(float('nan') if said.mean_return is None else said.mean_return):>7}",
        f"sealed by {names.name_of(seal.peer)}",
        f"{said.payload_bytes:,} bytes {printable(said.codec)}",
    ]
    return " | ".join(parts)


def _name(names: NameBook, peer: str) -> str:
    return names.name_of(PeerId(peer)).ljust(_NAME_WIDTH)


def _stop(entry: Entry) -> str:
    if entry.stop == STOP_RETURN:
        return f"its return was reached, and the model of the round before kept ({short(Digest(entry.model))})"
    return f"its number of {printable(entry.stop)} was reached"
