"""Content-addressed bytes between peers: served in chunks, pulled from one holder and continued at the next."""

from collections.abc import Callable, Sequence

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import RequestHandler, Transport
from peer.types import Digest, PeerId, Seconds
from peer.wire.hashing import digest_of
from peer.wire.limits import BLOB_CHUNK_BYTES
from peer.wire.sync import BLOB_PROTOCOL, BlobRequest, BlobResponse, decode, encode


def blob_handler(find: Callable[[Digest], bytes | None]) -> RequestHandler:
    """Return the handler of `BLOB_PROTOCOL` over whatever `find` knows."""

    async def answer(_peer: PeerId, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        asked = decode(data, BlobRequest)
        blob = find(Digest(asked.blob))
        chunk = None if blob is None else blob[asked.offset : asked.offset + asked.length]
        return encode(BlobResponse(chunk))

    return answer


async def pull_blob(
    transport: Transport, blob: Digest, *, size: int, holders: Sequence[PeerId], request_s: Seconds
) -> bytes | None:
    """Return the blob, or None when no holder could serve it whole.

    size: as declared and bounded by the caller; never more is kept. A holder that stalls, errs or lacks it costs
    at most `request_s`; the next goes on where it stopped. After a wrong hash the next one starts from the beginning.
    """
    received = bytearray()
    for holder in holders:
        try:
            await _pull_from(transport, holder, blob, size, received, request_s)
        except (TransportError, ProtocolError, trio.TooSlowError):
            continue
        if len(received) == size and digest_of(bytes(received)) == blob:
            return bytes(received)
        if len(received) == size:
            received.clear()
    return None


async def _pull_from(
    transport: Transport, holder: PeerId, blob: Digest, size: int, received: bytearray, request_s: Seconds
) -> None:
    while len(received) < size:
        request = BlobRequest(blob, len(received), min(BLOB_CHUNK_BYTES, size - len(received)))
        with trio.fail_after(request_s):
            answer = decode(await transport.request(holder, BLOB_PROTOCOL, encode(request)), BlobResponse)
        if not answer.data:
            return  # it does not hold the blob, or less of it than declared
        if len(answer.data) > request.length:
            raise ProtocolError("oversize", f"{len(answer.data)} bytes where {request.length} were asked for")
        received += answer.data
