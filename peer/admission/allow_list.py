"""The allow-list: who may take part in a run, signed by those whom the configuration names as authorities.

One JSON text, on disk and on the wire alike. The signatures (Ed25519) cover domain and list in msgpack; the list names
its run, so that it is of no use in another. Of two valid lists the one with the higher version holds everywhere, and
of equal versions, which an authority should never sign, the one with the higher digest: peers agree all the same.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import msgspec

from peer.errors import ProtocolError
from peer.types import Digest, PeerId
from peer.wire.envelope import Signer, verify_signature
from peer.wire.limits import MAX_ALLOW_LIST_BYTES, MAX_COUNT
from peer.wire.messages import PeerText

MAX_LISTED = 1024
MAX_SIGNATURES = 16

_DOMAIN = b"murmuration allow-list 1:"
_encode = msgspec.msgpack.Encoder().encode

MAX_LABEL = 32
_LABEL = r"^[A-Za-z0-9_. -]*\Z"
Label = Annotated[str, msgspec.Meta(max_length=MAX_LABEL, pattern=_LABEL)]


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One peer that may take part. name, role: for people; nothing follows from them."""

    peer: PeerText
    name: Label = ""
    role: Label = ""


class AuthoritySignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One authority's signature of a list. authority: the peer id of its key. signature: 64 bytes in hex."""

    authority: PeerText
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]


class AllowListFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A list with the signatures that it has so far. run: run.name."""

    run: Annotated[str, msgspec.Meta(min_length=1, max_length=48)]
    version: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNT)]
    peers: Annotated[tuple[Listed, ...], msgspec.Meta(max_length=MAX_LISTED)] = ()
    signatures: Annotated[tuple[AuthoritySignature, ...], msgspec.Meta(max_length=MAX_SIGNATURES)] = ()

    def statement(self) -> bytes:
        """Return the bytes that authorities sign."""
        peers = [(listed.peer, listed.name, listed.role) for listed in self.peers]
        return _DOMAIN + _encode((self.run, self.version, peers))

    def text(self) -> bytes:
        """Return the file's content, for people as well."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


@dataclass(frozen=True)  # without slots, for the cached set
class AllowList:
    """A list that enough authorities have signed. data: as it is passed on."""

    file: AllowListFile
    data: bytes

    @property
    def version(self) -> int:
        return self.file.version

    @cached_property
    def peers(self) -> frozenset[PeerId]:
        return frozenset(PeerId(listed.peer) for listed in self.file.peers)

    @cached_property
    def digest(self) -> Digest:
        return Digest(hashlib.sha256(self.file.statement()).digest())

    def is_newer_than(self, other: "AllowList | None") -> bool:
        return other is None or (self.version, self.digest) > (other.version, other.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Whose signatures make a list valid: `needed` of `keys` (peer ids). No keys: there is no allow-list."""

    keys: tuple[PeerId, ...] = ()
    needed: int = 1

    @property
    def is_set(self) -> bool:
        return bool(self.keys)

    def policy(self) -> bytes:
        """Return 32 bytes that two peers compare: with different authorities they would admit different peers."""
        return hashlib.sha256(_encode((_DOMAIN, sorted(set(self.keys)), self.needed if self.keys else 0))).digest()


Verify = Callable[[PeerId, bytes, bytes], bool]


def is_label(text: str) -> bool:
    """Return whether a peer on a list may have this name or role."""
    return len(text) <= MAX_LABEL and re.search(_LABEL, text) is not None


def parse_allow_list(data: bytes) -> AllowListFile:
    """Read a list whose signatures nobody has looked at. Raises: ProtocolError `allow_list`."""
    if len(data) > MAX_ALLOW_LIST_BYTES:
        raise ProtocolError("allow_list", f"{len(data)} bytes, at most {MAX_ALLOW_LIST_BYTES} are allowed")
    try:
        file = msgspec.json.decode(data, type=AllowListFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError("allow_list", f"it is no allow-list: {error}") from error
    peers = [listed.peer for listed in file.peers]
    if peers != sorted(set(peers)):
        raise ProtocolError("allow_list", "its peers are not sorted and distinct")
    return file


def open_allow_list(data: bytes, authority: Authority, *, run: str, verify: Verify = verify_signature) -> AllowList:
    """Return the list if it is for `run` and enough authorities have signed it. Raises: ProtocolError `allow_list`.

    Cost: 0.1 ms a signature of a known authority; others are not looked at.
    """
    file = parse_allow_list(data)
    if file.run != run:
        raise ProtocolError("allow_list", f"it is for run {file.run}, this peer is in {run}")
    signers = signers_of(file, authority.keys, verify=verify)
    if len(signers) < authority.needed:
        said = f"version {file.version} has {len(signers)} valid signatures of network.authorities"
        others = [each.authority for each in file.signatures if each.authority not in authority.keys]
        who = f" ({others[0]}, who signed it, is none of them)" if others else ""
        raise ProtocolError("allow_list", f"{said}, {authority.needed} are needed{who}: run `murmur allow-list sign`")
    return AllowList(file, data)


def signers_of(file: AllowListFile, keys: Sequence[PeerId], *, verify: Verify = verify_signature) -> frozenset[PeerId]:
    """Return which of `keys` have signed the list."""
    statement, known = file.statement(), frozenset(keys)
    return frozenset(
        PeerId(each.authority)
        for each in file.signatures
        if each.authority in known and verify(PeerId(each.authority), bytes.fromhex(each.signature), statement)
    )


def with_peer(file: AllowListFile, listed: Listed) -> AllowListFile:
    """Return the next version with one more peer, or one changed; the signatures fall away."""
    others = [each for each in file.peers if each.peer != listed.peer]
    return _changed(file, [*others, listed])


def without_peer(file: AllowListFile, peer: str) -> AllowListFile:
    """Return the next version without a peer. Raises: ValueError when it is not on the list."""
    others = [each for each in file.peers if each.peer != peer]
    if len(others) == len(file.peers):
        raise ValueError(f"{peer} is not on the list")
    return _changed(file, others)


def signed(file: AllowListFile, signer: Signer) -> AllowListFile:
    """Return the list with the signature of `signer` added."""
    mine = AuthoritySignature(signer.peer_id, signer.sign(file.statement()).hex())
    others = [each for each in file.signatures if each.authority != signer.peer_id]
    return msgspec.structs.replace(file, signatures=(*others, mine))


def _changed(file: AllowListFile, peers: list[Listed]) -> AllowListFile:
    """A version that nobody has signed has not been given out: it stays what it is."""
    version = file.version + 1 if file.signatures else file.version
    in_order = tuple(sorted(peers, key=lambda listed: listed.peer))
    return msgspec.structs.replace(file, version=version, peers=in_order, signatures=())
