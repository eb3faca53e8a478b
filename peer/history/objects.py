"""The same as `text`, for machines: one JSON object a round, or one for the sums."""

from typing import Any

from peer.finite import finite
from peer.history.contributions import Totals
from peer.history.record import Record
from peer.rounds.entry import Entry, members_of
from peer.rounds.manifest import agreed_return
from peer.telemetry.names import NameBook
from peer.types import PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import DeltaHeader, GroupSeal

Object = dict[str, Any]  # Any: what JSON can hold


def record_object(record: Record, names: NameBook) -> Object:
    """Return a round; one that cannot be read has `round` and `error` alone."""
    entry = record.entry
    if entry is None:
        return {"round": record.round, "error": record.damage}
    return {
        **_sealed(entry),
        "admitted": [_admitted(header, names) for header in entry.headers],
        "groups": [_group(seal, names) for seal in entry.groups],
        "rejected": [
            {
                "peer": item.peer,
                "name": names.name_of(PeerId(item.peer)),
                "header": item.header.hex(),
                "reason": item.reason,
            }
            for item in record.rejected
        ],
        "roster": [
            {"peer": item.peer, "missed": item.missed, "steps_per_s": item.steps_per_s} for item in entry.roster
        ],
    }


def totals_object(totals: Totals, names: NameBook) -> Object:
    return {
        "rounds": totals.rounds,
        "unreadable": totals.unreadable,
        "first_round": totals.first_round,
        "last_round": totals.last_round,
        "env_steps": totals.env_steps,
        "peers": [
            {
                "peer": row.peer,
                "name": names.name_of(row.peer),
                "rounds": row.rounds,
                "env_steps": row.env_steps,
                "sealed": row.sealed,
                "first_round": row.first_round,
                "last_round": row.last_round,
                "rejected": dict(sorted(row.rejected.items())),
            }
            for row in totals.contributions
        ],
    }


def _sealed(entry: Entry) -> Object:
    return {
        "round": entry.round,
        "digest": entry.digest.hex(),
        "previous": entry.parent.hex(),
        "sealer": entry.sealer,
        "view": entry.view,
        "model": entry.model.hex(),
        "score": entry.score,
        "env_steps": entry.env_steps,
        "return": finite(agreed_return(entry.deltas)),
        "stop": entry.stop or None,
    }


def _admitted(header: Signed[DeltaHeader], names: NameBook) -> Object:
    said = header.message
    return {
        "peer": header.peer,
        "name": names.name_of(header.peer),
        "header": header.digest.hex(),
        "env_steps": said.env_steps,
        "steps_per_s": said.steps_per_s,
        "return": finite(said.mean_return),
        "approx_kl": said.approx_kl,
        "codec": said.codec,
        "payload": said.payload.hex(),
        "payload_bytes": said.payload_bytes,
        "tasks": list(said.tasks),
    }


def _group(seal: Signed[GroupSeal], names: NameBook) -> Object:
    said = seal.message
    return {
        "group": said.group,
        "sealer": seal.peer,
        "seal": seal.digest.hex(),
        "env_steps": said.env_steps,
        "return": finite(said.mean_return),
        "codec": said.codec,
        "payload": said.payload.hex(),
        "payload_bytes": said.payload_bytes,
        "members": [
            {
                "peer": peer,
                "name": names.name_of(peer),
                "env_steps": member.env_steps,
                "steps_per_s": member.steps_per_s,
            }
            for peer, member in zip(members_of(said), said.members, strict=True)
        ],
    }
