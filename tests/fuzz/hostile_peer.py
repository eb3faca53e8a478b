"""A peer that is taken in like any other, and sends what it likes: the far end of every stream is ours here.

It goes by the project's own handshake and muxer, down to which every byte is legal, and has its way above.
"""

import random
from collections.abc import Awaitable, Callable

import trio
from libp2p.custom_types import TProtocol
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.id import ID

from peer.admission.allow_list import Authority
from peer.errors import ProtocolError, TransportError
from peer.network.counters import new_counters
from peer.network.identity import Identity
from peer.network.libp2p_framing import header, read_frame, write_last_frame
from peer.network.libp2p_guard import StreamGuard
from peer.network.libp2p_host import build_host
from peer.network.libp2p_negotiation import choose, proposal, read_consent
from peer.network.libp2p_requests import PROTOCOL_PREFIX
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.libp2p_upgrade import SecuredSocket, secure
from peer.network.libp2p_yamux import YamuxConnection
from peer.network.libp2p_yamux_stream import YamuxStream
from peer.network.transport import MAX_MESSAGE_BYTES
from peer.types import Digest
from peer.wire.admission import ADMISSION_PROTOCOL, ChallengeAnswer
from peer.wire.admission import encode as encode_admission
from peer.wire.envelope import open_as, seal
from peer.wire.membership import PROBE_PROTOCOL, ProbeAnswer, encode_probe
from peer.wire.messages import PeerCard
from peer.wire.sync import CARD_PROTOCOL, PEERS_PROTOCOL

PATIENCE_S = 20.0
BROKEN = (BaseLibp2pError, ProtocolError, TransportError, trio.TooSlowError, OSError)
"""How it shows that the other end has had enough."""

_Answer = Callable[[bytes], bytes]


async def open_socket_from_anywhere(port: int, rng: random.Random) -> trio.SocketStream:
    """Connect to a port of 127.0.0.1 from another address of loopback, as one host of many. Raises: OSError."""
    sock = trio.socket.socket()
    try:
        await sock.bind((f"127.{rng.randrange(1, 255)}.{rng.randrange(256)}.{rng.randrange(1, 255)}", 0))
        await sock.connect(("127.0.0.1", port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


class HostilePeer:
    """One connection to a peer, which has admitted us. secured: for bytes below the muxer."""

    def __init__(self, socket: SecuredSocket, *, run: bytes, identity: Identity) -> None:
        self.muxed = YamuxConnection(socket.secured, ID.from_base58(socket.peer), serve=self._serve_stream)
        self.secured = socket.secured
        self._run = run
        self._identity = identity
        self.ended = trio.Event()
        self._examined = trio.Event()
        self._handlers: dict[TProtocol | None, _Answer | None] = {
            _protocol(PROBE_PROTOCOL): lambda _: encode_probe(ProbeAnswer(True, ())),
            _protocol(ADMISSION_PROTOCOL): self._answer_challenge,
            self.gossip_protocol: None,
        }

    @property
    def gossip_protocol(self) -> TProtocol:
        return TProtocol(f"{PROTOCOL_PREFIX}gossip/1/{self._run.hex()}")

    async def be_admitted(self) -> None:
        """Greet like any newcomer: a card that says what theirs says."""
        theirs = open_as(await self.ask(CARD_PROTOCOL, b"?"), PeerCard, run=self._run).message
        card = PeerCard(
            boot=1, name="hostile", addresses=(), config=Digest(theirs.config), schema=Digest(theirs.schema)
        )
        own = seal(card, self._identity, run=self._run).data
        self._handlers[_protocol(CARD_PROTOCOL)] = lambda _: own
        await self.ask(CARD_PROTOCOL, own)
        await self._examined.wait()
        await self.ask(PEERS_PROTOCOL, b"")  # is answered once we are admitted

    async def ask(self, protocol: str, data: bytes) -> bytes:
        """Send a request as it should be. Raises: whatever a stream raises when it breaks."""
        stream = await self.muxed.open_stream()
        await stream.write(proposal(_protocol(protocol)) + header(len(data)) + data)
        await read_consent(stream, _protocol(protocol))
        answer = await read_frame(stream, max_bytes=MAX_MESSAGE_BYTES)
        await stream.close()
        return answer

    async def serve(self) -> None:
        """Answer what is asked of us, until the connection ends."""
        try:
            await self.muxed.start()
        finally:
            self.ended.set()

    async def _serve_stream(self, stream: YamuxStream) -> None:
        try:
            _, answer = await choose(stream, self._handlers)
            if answer is None:
                while await stream.read():
                    pass
            else:
                await write_last_frame(stream, answer(await read_frame(stream, max_bytes=MAX_MESSAGE_BYTES)))
                await stream.close()
        except BROKEN:  # we are nobody to complain
            await stream.reset()

    def _answer_challenge(self, _data: bytes) -> bytes:
        self._examined.set()
        return encode_admission(ChallengeAnswer(None, Authority().policy(), 0, ""))


async def be_hostile(
    port: int, identity: Identity, rng: random.Random, deed: Callable[[HostilePeer], Awaitable[None]], *, run: bytes
) -> None:
    """Connect, be admitted, and do `deed`. Raises: one of BROKEN when the peer ends it."""
    settings = Libp2pSettings(run_id=run.hex())
    host = build_host(settings, identity, StreamGuard(new_counters(), max_peer_streams=1), lambda _conn: None)
    with trio.fail_after(PATIENCE_S):
        stream = await open_socket_from_anywhere(port, rng)
        secured = await secure(host.swarm, stream, new_counters(), is_initiator=True)
        await host.swarm.upgrader.muxer_multistream.select_transport(secured.secured)
    peer = HostilePeer(secured, run=run, identity=identity)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.serve)
        try:
            with trio.fail_after(PATIENCE_S):
                await peer.be_admitted()
            await deed(peer)
        except BROKEN as error:  # kept, to come out without a group around it
            failure = error
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _protocol(name: str) -> TProtocol:
    return TProtocol(PROTOCOL_PREFIX + name)
