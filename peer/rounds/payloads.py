"""Payloads held here: to apply manifests, and to serve to peers that lack them."""

import math
from collections.abc import Set

from peer.codec.codec import Codec
from peer.errors import ProtocolError
from peer.rounds.pure_work import PureWork
from peer.types import Digest, ModelDelta, ModelSchema
from peer.wire.envelope import SignedDelta
from peer.wire.hashing import digest_of
from peer.wire.messages import Delta

_NORM_TOLERANCE = 1e-6
"""Relative; sums of squares in float64 differ by less between any two machines."""

_MAX_REFUTED = 256

_Claim = tuple[bytes, str, int]
"""(hash, codec, bytes): what a header says of its payload. Another may name the same bytes and lie about them."""


class PayloadStore:
    """Payloads by hash, and what they decode to by claim. Bounded by `forget`: only what the window refers to stays.

    Decoded they take four times as much memory, or more, and are mostly asked for while their round is sealed; of older
    ones only the bytes stay, and are decoded again should another branch need them.
    """

    def __init__(self, codecs: dict[str, Codec], schema: ModelSchema, pure: PureWork) -> None:
        self._codecs = codecs
        self._schema = schema
        self._pure = pure
        self._bounds = {name: codec.max_bytes(schema) for name, codec in codecs.items()}
        self.version = 0  # grows with every payload
        self._bytes: dict[Digest, bytes] = {}
        self._valid: set[_Claim] = set()
        self._deltas: dict[_Claim, ModelDelta] = {}
        self._norms: dict[_Claim, float] = {}
        self._refuted: dict[_Claim, None] = {}

    def check_header(self, header: Delta) -> None:
        """Raises: ProtocolError when the header announces what this model cannot have."""
        if header.weight > header.env_steps:
            raise ProtocolError("bad_header", f"a weight of {header.weight} for {header.env_steps} env steps")
        bound = self._bounds.get(header.codec)
        if bound is None:
            raise ProtocolError("codec", f"{header.codec!r}, this peer knows {', '.join(sorted(self._codecs))}")
        if header.payload_bytes > bound:
            raise ProtocolError("payload_size", f"announced {header.payload_bytes} bytes, at most {bound} are possible")

    def add(self, header: SignedDelta, data: bytes, *, digest: bytes | None = None) -> None:
        """Check and keep the payload that `header` names. digest: its hash, where the caller has computed it.

        Raises: ProtocolError when size or hash are not as declared, or the content is not a valid delta.
        """
        self.keep(header, data, self.read(header, data, digest=digest))

    def read(self, header: SignedDelta, data: bytes, *, digest: bytes | None = None) -> ModelDelta:
        """Return what the payload that `header` names says, and keep nothing. Raises: as `add`."""
        declared = header.message
        if len(data) != declared.payload_bytes:
            raise ProtocolError("payload_size", f"{len(data)} bytes, the header says {declared.payload_bytes}")
        if (digest or digest_of(data)) != declared.payload:
            raise ProtocolError("payload_hash", "the payload is not the one that the header names")
        return self._codecs[declared.codec].decode(data, self._schema)

    def keep(self, header: SignedDelta, data: bytes, delta: ModelDelta | None) -> None:
        """Keep a payload that is known to be what `header` names.

        delta: what it decodes to; None to have it decoded again when somebody asks.
        """
        claim = _claim(header.message)
        self._valid.add(claim)
        if delta is not None:
            self._deltas[claim] = delta
        self._bytes[Digest(claim[0])] = data
        self.version += 1

    def delta(self, header: Delta) -> ModelDelta:
        """Return what the payload of `header` says. Raises: KeyError when it is not held."""
        claim = _claim(header)
        if claim not in self._deltas and claim in self._valid:
            self._deltas[claim] = self._codecs[header.codec].decode(self._bytes[Digest(header.payload)], self._schema)
        return self._deltas[claim]

    def has_declared_norm(self, header: Delta) -> bool:
        """Return whether a held payload is as long as `header` says. Cost: O(P) once a payload.

        Sealers leave out what is not. It is no reason to refuse the payload: another header may name it rightly.
        """
        claim = _claim(header)
        if claim not in self._norms:
            self._norms[claim] = self._pure.l2_norm(self.delta(header))
        return math.isclose(self._norms[claim], header.l2_norm, rel_tol=_NORM_TOLERANCE)

    def refute(self, header: Delta) -> None:
        """Remember that the payload that `header` names is not what it says, so that nobody pulls it for that again."""
        self._refuted[_claim(header)] = None
        if len(self._refuted) > _MAX_REFUTED:
            del self._refuted[next(iter(self._refuted))]
        self.version += 1

    def is_refuted(self, header: Delta) -> bool:
        return _claim(header) in self._refuted

    def data(self, payload: bytes) -> bytes | None:
        return self._bytes.get(Digest(payload))

    def __len__(self) -> int:
        return len(self._bytes)

    def __contains__(self, header: Delta) -> bool:
        """Return whether the payload of `header` is held, and is what the header says."""
        return _claim(header) in self._valid

    def forget(self, *, keep: Set[bytes], decoded: Set[bytes]) -> None:
        """Drop what is not in `keep`, and of the others what they decode to unless they are in `decoded`."""
        for claim in [claim for claim in self._deltas if claim[0] not in decoded]:
            del self._deltas[claim]
        self._refuted = {claim: None for claim in self._refuted if claim[0] in keep}
        doomed = self._bytes.keys() - keep
        if not doomed:
            return
        for payload in doomed:
            del self._bytes[payload]
        for claim in [claim for claim in self._valid if claim[0] in doomed]:
            self._valid.discard(claim)
            self._norms.pop(claim, None)


def is_same_claim(header: Delta, other: Delta) -> bool:
    """Return whether two headers say the same of the same payload."""
    return _claim(header) == _claim(other)


def _claim(header: Delta) -> _Claim:
    return header.payload, header.codec, header.payload_bytes
