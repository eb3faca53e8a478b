"""The encrypted bytes of a connection after the Noise handshake, with few copies and few system calls.

py-libp2p 0.8.1 asks the socket twice for every Noise message, for its length and for the rest, and copies each byte
about six times on its way in. Here what has come in is taken at once, and deciphered where it lies. On the wire it is
the same: messages of at most 65,535 bytes, each with its length before it.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import cast

import trio
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from libp2p.abc import ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.security.base_session import BaseSession
from libp2p.security.noise.io import NoiseTransportReadWriter
from libp2p.security.secure_session import SecureSession
from multiaddr import Multiaddr
from noise.state import CipherState

from peer.network.libp2p_tcp import CountedTcpStream

MAC_BYTES = 16
LENGTH_BYTES = 2
MAX_PLAINTEXT_BYTES = 65_535 - MAC_BYTES
_RECEIVE_BYTES = 4 * (LENGTH_BYTES + 65_535)
"""Taken in at a time, with the beginning of a message that was not whole before: it is deciphered while it is still in
the processor's cache."""

MAX_NEGOTIATION_BYTES = 4096
"""Read to agree on the muxer, which takes 33; py-libp2p 0.8.1 reads lines as long as they say that they are."""

MAX_NEGOTIATION_MESSAGES = 256
"""Opened in that time, with what may follow at once; empty ones bring no byte that would count."""

MESSAGES_AT_ONCE = 4
_SENT_BYTES = MESSAGES_AT_ONCE * (LENGTH_BYTES + 65_535)
"""Sealed in one piece, and sent by one system call where the socket has room: the other end wakes once for it."""

_incoming: trio.lowlevel.RunVar[memoryview] = trio.lowlevel.RunVar("incoming bytes")
"""Where all connections of an event loop read into: it is empty again before another task runs."""

_outgoing: trio.lowlevel.RunVar[memoryview] = trio.lowlevel.RunVar("outgoing bytes")
"""Where all of them seal what they send; what cannot go out at once is copied before another task runs."""


class NoiseSession(BaseSession):
    """Takes over the ciphers of a finished handshake; whoever made it reads and writes here alone from then on.

    One task reads, and one at a time writes.
    """

    def __init__(self, secured: ISecureConn, tcp: CountedTcpStream) -> None:
        assert isinstance(secured, SecureSession), "the Noise handshake makes such a session"
        super().__init__(
            local_peer=secured.local_peer,
            local_private_key=secured.local_private_key,
            remote_peer=secured.remote_peer,
            remote_permanent_pubkey=secured.remote_permanent_pubkey,
            is_initiator=secured.is_initiator,
        )
        protocol = cast(NoiseTransportReadWriter, secured.conn).noise_state.noise_protocol
        self._sealing = _Cipher(protocol.cipher_state_encrypt)
        self._opening = _Cipher(protocol.cipher_state_decrypt)
        self._tcp = tcp
        self._begun = b""  # of a message that is not whole
        self._plain: deque[memoryview] = deque()  # deciphered, and not read
        self._negotiation_bytes = 0
        self._negotiates = False
        self.received_messages = 0
        self.received_bytes = 0
        """As they were on the wire."""

    async def read(self, n: int | None = None) -> bytes:
        """Return between 1 and `n` bytes of what agrees on the muxer, which itself reads otherwise.

        Raises: ConnectionClosedError at the end, on a forged message, and when there were MAX_NEGOTIATION_BYTES, or
        more than MAX_NEGOTIATION_MESSAGES.
        """
        if n == 0:
            return b""
        left = MAX_NEGOTIATION_BYTES - self._negotiation_bytes
        if not left:
            raise ConnectionClosedError(f"a negotiation of more than {MAX_NEGOTIATION_BYTES} bytes", transport="tcp")
        self._negotiates = True
        try:
            part = bytes(await self.read_some(left if n is None else min(n, left)))
        finally:
            self._negotiates = False
        self._negotiation_bytes += len(part)
        return part

    async def read_some(self, most: int) -> memoryview:
        """As `read`, without a copy."""
        while not self._plain:
            await self._tcp.wait_for_bytes()
            self.receive_now(self._plain.append)
        part = self._plain[0]
        if len(part) <= most:
            return self._plain.popleft()
        self._plain[0] = part[most:]
        return part[:most]

    async def receive(self, take: Callable[[memoryview], None]) -> bool:
        """Wait for bytes, and hand them to `take`, message by message; return whether there may be more.

        Raises: as `read`; what `take` raises.
        """
        while self._plain:
            take(self._plain.popleft())
        await self._tcp.wait_for_bytes()
        return self.receive_now(take)

    def receive_now(self, take: Callable[[memoryview], None]) -> bool:
        """As `receive`, without waiting. A message is handed over while it is still in the processor's cache."""
        raw, begin, end = _shared_buffer(_incoming, _RECEIVE_BYTES), 0, len(self._begun)
        raw[:end] = self._begun
        count = self._tcp.read_now(raw[end:])
        if count is None:
            return False
        if not count:
            raise ConnectionClosedError("closed by the other end", transport="tcp")
        self.received_bytes += count
        end += count
        while end - begin >= LENGTH_BYTES:
            start = begin + LENGTH_BYTES
            size = int.from_bytes(raw[begin:start], "big")
            if end - start < size:
                break
            begin = start + size
            self._count_message()
            if plain := self._opening.decrypt(raw[start:begin]):
                take(memoryview(plain))
        self._begun = bytes(raw[begin:end])
        return end == len(raw)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises: ConnectionClosedError."""
        plain = memoryview(data)
        parts = (plain[start : start + MAX_PLAINTEXT_BYTES] for start in range(0, len(plain), MAX_PLAINTEXT_BYTES))
        await self.write_messages(parts)

    async def write_messages(self, messages: Iterable[bytes | memoryview]) -> None:
        """Send each in a Noise message of its own, of at most MAX_PLAINTEXT_BYTES. Raises: ConnectionClosedError.

        What a cancelled writer has left goes first, before anything is sealed: so it is never more than `_SENT_BYTES`.
        """
        if self._tcp.has_unsent:
            await self._tcp.flush()
        out, end = _shared_buffer(_outgoing, _SENT_BYTES), 0
        for plain in messages:
            if end + LENGTH_BYTES + len(plain) + MAC_BYTES > len(out):
                await self._tcp.write(out[:end])
                end = 0
            end = self._seal_into(out, end, plain)
        await self._tcp.write(out[:end])

    @property
    def has_unsent(self) -> bool:
        """Whether `flush` has something to send that is sealed already."""
        return self._tcp.has_unsent

    def write_messages_now(self, messages: Iterable[bytes | memoryview]) -> bool:
        """Send MESSAGES_AT_ONCE at most; return whether all went out, or `flush` has to send the rest.

        Only while nothing is unsent. Raises: ConnectionClosedError.
        """
        out, end = _shared_buffer(_outgoing, _SENT_BYTES), 0
        for plain in messages:
            end = self._seal_into(out, end, plain)
        return self._tcp.write_now(out[:end])

    async def flush(self) -> None:
        """Send what is sealed and has not gone out. Raises: ConnectionClosedError."""
        await self._tcp.flush()

    async def close(self) -> None:
        await self._tcp.close()

    def get_remote_address(self) -> tuple[str, int] | None:
        return self._tcp.get_remote_address()

    def get_transport_addresses(self) -> list[Multiaddr]:
        return []

    def get_connection_type(self) -> ConnectionType:
        return ConnectionType.DIRECT

    def _count_message(self) -> None:
        self.received_messages += 1
        if self._negotiates and self.received_messages > MAX_NEGOTIATION_MESSAGES:
            raise ConnectionClosedError(f"a negotiation of over {MAX_NEGOTIATION_MESSAGES} messages", transport="tcp")

    def _seal_into(self, out: memoryview, at: int, plain: bytes | memoryview) -> int:
        """Write the next message to `out` from `at` on; return where it ends."""
        size = len(plain) + MAC_BYTES
        start = at + LENGTH_BYTES
        out[at:start] = size.to_bytes(LENGTH_BYTES, "big")
        self._sealing.encrypt_into(plain, out[start : start + size])
        return start + size


def _shared_buffer(variable: trio.lowlevel.RunVar[memoryview], size: int) -> memoryview:
    try:
        return variable.get()
    except LookupError:
        buffer = memoryview(bytearray(size))
        variable.set(buffer)
        return buffer


class _Cipher:
    """One direction. Each message has the next number as its nonce, as Noise demands (revision 34, section 5.1)."""

    def __init__(self, state: CipherState) -> None:
        self._aead = cast(ChaCha20Poly1305, state.cipher.cipher)
        self._number = int(state.n)

    def encrypt_into(self, plain: bytes | memoryview, out: memoryview) -> None:
        self._aead.encrypt_into(self._next_nonce(), plain, None, out)

    def decrypt(self, sealed: memoryview) -> bytes:
        try:
            return self._aead.decrypt(self._next_nonce(), sealed, None)
        except (InvalidTag, ValueError) as error:  # ValueError: shorter than a tag
            raise ConnectionClosedError("a message was forged or damaged", transport="tcp") from error

    def _next_nonce(self) -> bytes:
        nonce = b"\x00\x00\x00\x00" + self._number.to_bytes(8, "little")
        self._number += 1
        return nonce
