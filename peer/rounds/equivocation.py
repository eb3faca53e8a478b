"""Proof that a peer signed two statements where the protocol lets it sign one.

Only what an honest peer cannot do, a crash or a copied key included, is proof (docs/adr/0051): both statements must
name the same session, that is be signed by one process. That process never seals twice on one parent, neither the round
nor its group, votes at most once a round, and numbers its headers upwards; it has all of that in its memory.
"""

from dataclasses import dataclass
from typing import Literal

from peer.errors import ProtocolError
from peer.types import Digest, PeerId, Session
from peer.wire.envelope import AnySigned, open_envelope
from peer.wire.messages import Ack, DeltaHeader, GroupSeal, Manifest, PeerCard, TopManifest

Kind = Literal["manifest", "group", "vote", "delta"]
Slot = tuple[int, bytes]
_Key = tuple[Kind, PeerId, Session, Slot]

_REMEMBERED: dict[Kind, int] = {"manifest": 64, "group": 256, "vote": 2048, "delta": 2048}
"""Statements a kind that a second one can still be held against; a manifest has up to 60 KB, a group's seal 10 KB, the
others 0.5 KB."""
_ROUNDS = 32
"""And of so many rounds: later than that, a second statement confuses nobody any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Proof that a peer contradicted itself.

    first, second: two envelopes of `peer` that no honest process signs both. what: what it did, for people.
    """

    peer: PeerId
    what: str
    first: bytes
    second: bytes


def check_proof(first: bytes, second: bytes, *, run: bytes) -> Proof:
    """Return what two envelopes prove, whoever brought them. Raises: ProtocolError when it is nothing."""
    one, other = open_envelope(first, run=run), open_envelope(second, run=run)
    key = _key(one)
    if key is None or key != _key(other):
        raise ProtocolError("bad_proof", "the two statements do not exclude each other")
    if one.digest == other.digest:
        raise ProtocolError("bad_proof", "both are one and the same statement")
    return Proof(peer=one.peer, what=_what(key), first=first, second=second)


_Statement = tuple[int, Digest, bytes]
"""Round, digest and envelope. No class, as one is made for every message that comes."""


class Witness:
    """Remembers what each process has signed for which slot, of recent rounds and as far as there is room."""

    def __init__(self) -> None:
        self._seen: dict[Kind, dict[_Key, _Statement]] = {kind: {} for kind in _REMEMBERED}
        self._first_round = 0

    def see(self, signed: AnySigned) -> Proof | None:
        """Take note of a statement whose signature was checked; return a proof if it contradicts an earlier one."""
        key, round_number = _key(signed), _round_of(signed)
        if key is None or round_number < self._first_round:
            return None
        seen = self._seen[key[0]]
        known = seen.get(key)
        if known is None:
            seen[key] = round_number, signed.digest, signed.data
            if len(seen) > _REMEMBERED[key[0]]:
                del seen[next(iter(seen))]
        elif known[1] != signed.digest:
            return Proof(peer=signed.peer, what=_what(key), first=known[2], second=signed.data)
        return None

    def forget(self, *, tip_round: int) -> None:
        """Drop what is older than matters now that the chain has come to `tip_round`."""
        if tip_round - _ROUNDS <= self._first_round:
            return
        self._first_round = tip_round - _ROUNDS
        for kind, seen in self._seen.items():
            self._seen[kind] = {key: known for key, known in seen.items() if known[0] >= self._first_round}


def _round_of(signed: AnySigned) -> int:
    message = signed.message
    return 0 if isinstance(message, PeerCard) else message.round


def _key(signed: AnySigned) -> _Key | None:
    """Return what may be said once only; None for statements of which there may be any number."""
    match signed.message:
        case Ack() as ack:  # first, as most messages are votes
            return "vote", signed.peer, signed.session, (ack.round, b"")
        case Manifest() | TopManifest() as manifest:
            return "manifest", signed.peer, signed.session, (manifest.round, manifest.previous)
        case GroupSeal() as group:
            return "group", signed.peer, signed.session, (group.round, group.base)
        case DeltaHeader() as header:
            return "delta", signed.peer, signed.session, (header.sequence, b"")
        case _:
            return None


def _what(key: _Key) -> str:
    number = key[3][0]
    return {
        "manifest": f"it sealed round {number} twice, differently",
        "group": f"it sealed its group in round {number} twice, differently",
        "vote": f"it voted twice in round {number}, differently",
        "delta": f"it announced two different deltas under the number {number}",
    }[key[0]]
