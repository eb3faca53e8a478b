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
    transport: Transport,
    blob: Digest,
    *,
    size: int,
    holders: Sequence[PeerId],
    request_s: Seconds,
    refuse: Callable[[PeerId, ProtocolError], None],
) -> bytes | None:
    """Return the blob, or None when no holder could serve it whole.

    size: as declared and bounded by the caller; never more is kept. refuse: told who sent what must not be sent.
    A holder that stalls, errs or lacks it costs at most `request_s`; the next goes on where it stopped. When what
    several sent has the wrong hash, the last of them is asked for all of it, because an earlier one may have lied.
    """
    received = bytearray()
    for holder in holders:
        continued = True
        while continued:
            continued = bool(received)
            if not await _complete(transport, holder, blob, size, received, request_s, refuse):
                break
            if digest_of(bytes(received)) == blob:
                return bytes(received)
            received.clear()
            if not continued:
                refuse(holder, ProtocolError("payload_hash", "it served other bytes than the hash names"))
    return None


async def _complete(
    transport: Transport,
    holder: PeerId,
    blob: Digest,
    size: int,
    received: bytearray,
    request_s: Seconds,
    refuse: Callable[[PeerId, ProtocolError], None],
) -> bool:
    """Pull from one holder what is missing; return whether all of it is here."""
    try:
        while len(received) < size:
            request = BlobRequest(blob, len(received), min(BLOB_CHUNK_BYTES, size - len(received)))
            with trio.fail_after(request_s):
                answer = decode(await transport.request(holder, BLOB_PROTOCOL, encode(request)), BlobResponse)
            if answer.data is None:
                return False
            if len(answer.data) != request.length:  # shorter ones too: a byte a time would hold a pull up for ever
                raise ProtocolError("blob_length", f"{len(answer.data)} bytes where {request.length} were asked for")
            received += answer.data
    except ProtocolError as error:
        refuse(holder, error)
        return False
    except (TransportError, trio.TooSlowError):
        return False
    return True
