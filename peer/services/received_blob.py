"""The part of a blob that has come in: hashed on the way, and copied as little as possible."""

import io

from peer.network.transport import Content
from peer.types import Digest
from peer.wire.hashing import ContentHasher

_AT_ONCE_BYTES = 4 * 1024 * 1024
"""Up to this size, room for a blob is made before it comes, and its parts need not be joined."""

_KEPT_BYTES = 32 * 1024
"""Parts of this size and above are kept as they came, each with the message of 64 KB at most that it lies in; smaller
ones are copied together, or a blob that comes a byte at a time would take a hundred times its size."""

_HASHED_BYTES = 256 * 1024
"""BLAKE3 is a third faster on pieces that begin at multiples of such a size than on the parts that messages hold, and
so many bytes are still in the cache."""


class ReceivedBlob:
    """The part of a blob that has come in. Memory of a large one grows with it, not with the announced size."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.size = 0
        self._whole = io.BytesIO(bytes(wanted)) if wanted <= _AT_ONCE_BYTES else None
        self._parts: list[Content] = []
        self._small = bytearray()
        self._hasher = ContentHasher()
        self._hashed = 0

    @property
    def missing(self) -> int:
        return self.wanted - self.size

    def add(self, part: Content) -> None:
        self.size += len(part)
        if self._whole is not None:
            self._whole.write(part)
            self._hash_pieces(self._whole)
            return
        self._hasher.add(part)
        if len(part) >= _KEPT_BYTES:
            self._close_small()
            self._parts.append(part)
            return
        self._small += part
        if len(self._small) >= _KEPT_BYTES:
            self._close_small()

    def digest(self) -> Digest:
        return self._hasher.digest()

    def content(self) -> bytes:
        if self._whole is not None:
            return self._whole.getvalue()
        self._close_small()
        return b"".join(self._parts)

    def _hash_pieces(self, whole: io.BytesIO) -> None:
        end = self.size if not self.missing else self.size - self.size % _HASHED_BYTES
        if end > self._hashed:
            with whole.getbuffer() as content:
                self._hasher.add(content[self._hashed : end])
            self._hashed = end

    def _close_small(self) -> None:
        if self._small:
            self._parts.append(self._small)
            self._small = bytearray()
