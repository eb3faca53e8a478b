"""What `murmur status` prints: every peer of a data folder that runs, one block each."""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from peer.errors import StorageError
from peer.services.status_answer import AdmissionStatus, GoneStatus, PeerStatus, Status
from peer.services.status_socket import read_status
from peer.storage.heartbeat import Heartbeat
from peer.telemetry.plain_text import amount, number, plural, printable, size
from peer.types import Seconds

_ANSWER_S: Seconds = 3.0
_SLOT = re.compile(r"slot-(\d+)")
_DIGEST_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotReport:
    """One slot's answer. status: None when there was none, `problem` then says why and what to do."""

    slot: Path
    status: Status | None
    problem: str = ""

    def json(self) -> dict[str, object]:
        told: dict[str, object] = {"slot": str(self.slot), "running": self.status is not None}
        return (
            {**told, "problem": self.problem} if self.status is None else {**told, **msgspec.to_builtins(self.status)}
        )


def ask_all(data_dir: Path) -> list[SlotReport]:
    """Ask the peer of every slot in `data_dir`, in order.

    Raises: StorageError when there is no such folder, or no slot in it.
    """
    slots = sorted(_slots(data_dir), key=lambda path: int(path.name.removeprefix("slot-")))
    if not slots:
        raise StorageError(
            f"no peer has run with storage.data_dir={data_dir}: name its folder with --data-dir"
            if data_dir.is_dir()
            else f"there is no folder {data_dir}: name the peers' storage.data_dir with --data-dir"
        )
    return [_ask(slot) for slot in slots]


def page(reports: Sequence[SlotReport]) -> str:
    """Return the text for people; slots without a running peer share one line at the end."""
    blocks = [_block(report.status) for report in reports if report.status is not None]
    stuck = [f"{report.slot.name}: {report.problem}" for report in reports if report.problem and report.status is None]
    idle = [report.slot.name for report in reports if report.status is None and not report.problem]
    if stuck:
        blocks.append("\n".join(stuck))
    if idle:
        blocks.append(f"no peer runs in {', '.join(idle)}")
    return "\n\n".join(blocks)


def _slots(data_dir: Path) -> Iterable[Path]:
    if not data_dir.is_dir():
        return []
    try:
        return [path for path in data_dir.iterdir() if _SLOT.fullmatch(path.name) and path.is_dir()]
    except OSError as error:
        raise StorageError(f"cannot look into {data_dir}: {error.strerror}") from error


def _ask(slot: Path) -> SlotReport:
    try:
        return SlotReport(slot=slot, status=read_status(slot, timeout_s=_ANSWER_S))
    except (FileNotFoundError, ConnectionRefusedError):
        return SlotReport(slot=slot, status=None)
    except PermissionError:
        return SlotReport(slot=slot, status=None, problem="it belongs to another user: ask as that one, or as root")
    except TimeoutError:
        return SlotReport(slot=slot, status=None, problem=f"its peer does not answer; {_heartbeat(slot)}")
    except (msgspec.DecodeError, OSError) as error:
        return SlotReport(
            slot=slot, status=None, problem=f"its answer is of no use ({error}): is it of another version?"
        )


def _heartbeat(slot: Path) -> str:
    try:
        age_s = time.time() - Heartbeat(slot).path.stat().st_mtime
    except OSError:
        return "it has not shown a sign of life yet"
    return f"its last sign of life is {_duration(age_s)} old"


def _block(status: Status) -> str:
    lines = [
        f"{status.name}  {status.peer_id}",
        f"  run {status.run}, env {status.env}; boot {status.boot}, up {_duration(status.uptime_s)}, pid {status.pid}, "
        f"murmuration {status.version}",
        f"  round {status.round} ({_finality(status)}), model {status.model[:_DIGEST_DIGITS]}; return "
        f"{_value(status.mean_return)} (best {_value(status.best_return)}); {amount(status.env_steps)} env steps",
        _doing(status),
        f"  computes with {status.computes_on}; sent {size(status.bytes_sent)}, received {size(status.bytes_received)}",
        f"  listens on {', '.join(status.addresses) or 'no address'}",
        f"  {_reachability(status)}",
        *_admission(status.admission),
        *(f"  {row}" for row in _table(status.peers)),
        *_gone(status.gone),
    ]
    if status.refused:
        totals = ", ".join(f"{total} {reason}" for reason, total in status.refused.items())
        lines.append(f"  refused messages: {totals}")
    lines += [f"  denied {peer.name} ({peer.peer_id}): {peer.what}" for peer in status.denied]
    if status.troubles:
        lines.append("  latest warnings:")
        lines += [
            f"    {_duration(trouble.age_s):>6} ago  {trouble.level}: {trouble.text}" for trouble in status.troubles
        ]
    return "\n".join(lines)


def _doing(status: Status) -> str:
    if status.superseded:
        return f"  TAKES NO PART: {status.superseded}"
    if status.finished:
        return "  the run has ended"
    since = "" if status.open_s is None else f"; round {status.round + 1} is open since {_duration(status.open_s)}"
    return f"  waiting for {status.waiting_for}{since}"


def _reachability(status: Status) -> str:
    if status.reached:
        return f"reachable at {', '.join(status.reached)}"
    if not status.announced and status.reached is None:
        return "announces nothing to other machines (network.listen_host is loopback)"
    if status.reached is None:
        return f"announces {', '.join(status.announced)}; no peer has tried to dial it yet"
    return (
        f"nobody could reach it at {', '.join(status.announced)}: open or forward that TCP port, or set"
        " network.announce; it takes part over its own connections"
    )


def _admission(admission: AdmissionStatus | None) -> list[str]:
    if admission is None:  # of an older version
        return []
    if admission.swarm_key is None and admission.list_version is None:
        return ["  open to whoever reaches it: no swarm key, no allow-list"]
    parts = [] if admission.swarm_key is None else [f"swarm key {admission.swarm_key}"]
    if admission.list_version == 0:
        parts.append("no allow-list yet, so nobody is taken in (network.allow_list)")
    elif admission.list_version is not None:
        named = "this one among them" if admission.named else "NOT THIS ONE: nobody takes it in"
        parts.append(f"allow-list version {admission.list_version} of {plural(admission.listed, 'peer')}, {named}")
    return [f"  {'; '.join(parts)}"]


def _finality(status: Status) -> str:
    if status.lag == 0:
        return "final"
    return f"{status.lag} of them not final yet" if status.lag > 1 else "not final yet"


def _gone(gone: Sequence[GoneStatus]) -> list[str]:
    rows = [f"    {_duration(peer.age_s):>6} ago  {printable(_departure(peer))}" for peer in gone]
    return ["  gone lately:", *rows] if rows else []


def _departure(peer: GoneStatus) -> str:
    return f"{peer.name} has stopped" if peer.stopped else f"lost {peer.name}: {peer.cause}"


def _table(peers: Sequence[PeerStatus]) -> list[str]:
    head = ("peer", "boot", "steps/s", "last round", "connected", "last heard")
    rows = [
        (
            peer.name,
            "-" if peer.boot is None else str(peer.boot),
            amount(peer.steps_per_s) if peer.missed is not None else "-",
            _last_round(peer),
            _connected(peer),
            _heard(peer),
        )
        for peer in peers
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def _connected(peer: PeerStatus) -> str:
    if peer.me:
        return "this peer"
    text = "yes" if peer.connected else "NO"
    return f"{text}, RUNS TWICE" if peer.runs_twice else text


def _last_round(peer: PeerStatus) -> str:
    if peer.missed is None:
        return "not a member"
    return "admitted" if peer.admitted else f"missed {peer.missed}"


def _heard(peer: PeerStatus) -> str:
    if peer.silent_s is None:
        return ""
    ago = f"{_duration(peer.silent_s)} ago"
    return f"{ago}, suspected by {peer.suspected_by}" if peer.suspected_by else ago


def _value(value: float | None) -> str:
    return "-" if value is None else number(value)


def _duration(seconds: float) -> str:
    for unit, factor in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * factor:
            return f"{seconds / factor:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"
