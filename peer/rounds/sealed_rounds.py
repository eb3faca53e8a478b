"""A sealed round as bytes that say everything: what the journal keeps.

A manifest with headers in it says so itself, and is kept as it travels. A top manifest names its group seals by digest,
so it is kept as a msgpack array of envelopes: the manifest, then the seals. Of a round whose state was taken over whole
the seals are not known; then the manifest stands alone in its array.
"""

from typing import Annotated

import msgspec

from peer.errors import ProtocolError
from peer.rounds.entry import Entry, entry_of, entry_of_groups
from peer.rounds.manifest import open_headers
from peer.wire.envelope import expect, open_as, open_envelope
from peer.wire.limits import MAX_GROUP_SEAL_BYTES, MAX_GROUPS, MAX_TOP_MANIFEST_BYTES
from peer.wire.messages import GroupSeal, Manifest, TopManifest

_Envelopes = Annotated[
    tuple[Annotated[bytes, msgspec.Meta(max_length=max(MAX_GROUP_SEAL_BYTES, MAX_TOP_MANIFEST_BYTES))], ...],
    msgspec.Meta(min_length=1, max_length=1 + MAX_GROUPS),
]
_decode = msgspec.msgpack.Decoder(_Envelopes).decode


def encode_sealed(entry: Entry) -> bytes:
    """Return the bytes of an entry. Raises: ValueError for genesis."""
    if entry.manifest is None:
        raise ValueError("genesis is not sealed")
    if not isinstance(entry.manifest.message, TopManifest):
        return entry.manifest.data
    return msgspec.msgpack.encode((entry.manifest.data, *(seal.data for seal in entry.groups)))


def decode_sealed(data: bytes, *, run: bytes) -> Entry:
    """Return the entry in `data`, every signature checked. Raises: ProtocolError."""
    envelopes = envelopes_of(data)
    if len(envelopes) == 1 and envelopes[0] is data:
        manifest = open_as(data, Manifest, run=run)
        return entry_of(manifest, open_headers(manifest.message, run=run))
    top = open_as(envelopes[0], TopManifest, run=run)
    seals = tuple(expect(open_envelope(envelope, run=run), GroupSeal) for envelope in envelopes[1:])
    if seals and tuple(seal.digest for seal in seals) != tuple(top.message.groups):
        raise ProtocolError("bad_manifest", "the group seals beside the manifest are not those that it names")
    return entry_of_groups(top, seals)


def envelopes_of(data: bytes) -> tuple[bytes, ...]:
    """Return the envelopes that the bytes of a sealed round are made of, the manifest's first; unchecked."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return (data,)  # one envelope, which begins with a number
