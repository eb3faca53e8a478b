"""Content-addressed bytes between peers: pulled from one holder, and continued at the next where that one stopped."""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

import trio

from peer.errors import ProtocolError, TransportError
from peer.network.transport import Content, Transport
from peer.services.pull_turns import PullTurn
from peer.services.received_blob import ReceivedBlob
from peer.types import Digest, PeerId, Seconds
from peer.wire.limits import BLOB_PROGRESS_BYTES
from peer.wire.sync import BLOB_PROTOCOL, BlobRequest, encode


async def pull_blob(
    transport: Transport,
    blob: Digest,
    *,
    size: int,
    holders: Sequence[PeerId],
    request_s: Seconds,
    refuse: Callable[[PeerId, ProtocolError], None],
    turn: PullTurn | None = None,
) -> bytes | None:
    """Return the blob, or None when no holder could serve it whole.

    size: as declared and bounded by the caller; never more is kept. refuse: told who sent what must not be sent. turn:
    given up when it is over, and then waited for anew; the holder that was slow in it is asked again after all others.

    A holder that lacks the blob, errs, or takes longer than `request_s` for the next 256 KB is left, and the next one
    goes on where it stopped. When parts of several holders have the wrong hash together, the last of them is asked for
    all of the blob, because an earlier one may have lied.
    """
    pull = _Pull(transport, blob, request_s=request_s, refuse=refuse, turn=turn)
    received = ReceivedBlob(size)
    to_ask = deque(holders)
    while to_ask:
        if turn is not None and turn.is_over:
            await turn.give_way()
        holder = to_ask.popleft()
        continued = True
        while continued:
            continued = received.size > 0
            end = await pull.go_on(received, holder)
            if end is _End.PUT_OFF:
                to_ask.append(holder)
            if end is not _End.WHOLE:
                break
            if received.digest() == blob:
                return received.content()
            received = ReceivedBlob(size)
            if not continued:
                refuse(holder, ProtocolError("payload_hash", "it served other bytes than the hash names"))
    return None


class _End(Enum):
    WHOLE = auto()
    LEFT = auto()
    PUT_OFF = auto()


class _Pull:
    """What stays the same from holder to holder; parameters as of `pull_blob`."""

    def __init__(
        self,
        transport: Transport,
        blob: Digest,
        *,
        request_s: Seconds,
        refuse: Callable[[PeerId, ProtocolError], None],
        turn: PullTurn | None,
    ) -> None:
        self._transport = transport
        self._blob = blob
        self._request_s = request_s
        self._refuse = refuse
        self._turn = turn
        self._is_put_off = False

    async def go_on(self, received: ReceivedBlob, holder: PeerId) -> _End:
        """Pull from one holder what is missing; return whether all of it is here, or it may be asked again later."""
        missing, start = received.missing, received.size
        request = encode(BlobRequest(self._blob, start, missing))
        self._is_put_off = False
        try:
            with trio.fail_after(self._request_s) as deadline:
                take = self._taking(received, deadline)
                await self._transport.download(holder, BLOB_PROTOCOL, request, max_bytes=missing, take=take)
            if received.missing and received.size > start:  # nothing at all: it does not have the blob, or no time
                raise ProtocolError("blob_length", f"{received.size - start} bytes where {missing} were asked for")
        except ProtocolError as error:
            self._refuse(holder, error)
        except (TransportError, trio.TooSlowError):
            pass
        if not received.missing:
            return _End.WHOLE
        if self._turn is not None:
            self._turn.note(0)
        return _End.PUT_OFF if self._is_put_off else _End.LEFT

    def _taking(self, received: ReceivedBlob, deadline: trio.CancelScope) -> Callable[[Content], None]:
        """Return what takes the parts: each `BLOB_PROGRESS_BYTES` move the deadline on, or end the turn."""
        due = received.size + BLOB_PROGRESS_BYTES

        def take(part: Content) -> None:
            nonlocal due
            received.add(part)
            if received.size < due:
                return  # not for every part: a byte at a time would hold the pull up for ever
            due = received.size + BLOB_PROGRESS_BYTES
            deadline.deadline = trio.current_time() + self._request_s
            if self._turn is not None and self._turn.note(BLOB_PROGRESS_BYTES):
                self._is_put_off = True
                deadline.cancel()

        return take
