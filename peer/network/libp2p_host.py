"""A py-libp2p 0.8.1 host cut down to what a peer needs: TCP, Noise, Yamux, and no dialling of its own.

Built from parts instead of by `libp2p.new_host`, because its swarm must differ:
- it has no transport to dial by: py-libp2p's own dials take 250 ms, cannot resolve `/dns4`, remember stale addresses,
  block a peer for 60 s after a failure, and are made unasked until there are half of the connections that are allowed.
  `libp2p_upgrade` hands finished connections over instead.
- it accepts from our listener: py-libp2p's binds with SO_REUSEPORT, so that a port in use goes unnoticed, and keeps a
  slot and a task for every inbound connection until the process ends, which after 250 of them refuses all others.
- it offers Noise alone: py-libp2p offers plaintext and secio, too, unless told otherwise.
- it asks no peer to identify itself, outside every nursery, and answers no such question: nobody here needs the answer,
  for which py-libp2p looks for a listener for half a second, and what a peer pushes about itself is kept for ever.
"""

from collections.abc import Callable

import trio
from libp2p.abc import INetConn, INetStream, INotifee
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import X25519PrivateKey
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.host.ping import ID as PING
from libp2p.io.exceptions import IOException
from libp2p.network.config import ConnectionConfig
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from peer.errors import ProtocolError
from peer.network.first_wait import before_first_wait
from peer.network.identity import Identity
from peer.network.libp2p_guard import StreamGuard
from peer.network.libp2p_negotiation import choose, choose_at_once
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.libp2p_yamux import PROTOCOL_ID, YamuxConnection
from peer.network.libp2p_yamux_stream import muxed_stream

OnConnected = Callable[[SwarmConn], None]


class QuietHost(BasicHost):
    """A host that neither asks to identify nor answers, and tells hostile proposals from mistaken ones."""

    swarm: Swarm

    async def _swarm_stream_handler(self, net_stream: INetStream) -> None:
        muxed = muxed_stream(net_stream)
        try:
            chosen = choose_at_once(muxed, self.multiselect.handlers)
            if chosen is None:
                with trio.fail_after(self.negotiate_timeout):
                    chosen = await choose(muxed, self.multiselect.handlers)
        except (MuxedStreamError, IOException, trio.TooSlowError):  # it has changed its mind
            await net_stream.reset()
            return
        except ProtocolError as error:
            await net_stream.reset()
            if error.reason == "not_served":
                return
            raise
        protocol, handler = chosen
        net_stream.set_protocol(protocol)
        assert handler is not None, "nobody registers a protocol without one"
        await before_first_wait(handler(net_stream), muxed.release)

    def _schedule_identify(self, peer_id: ID, *, reason: str) -> None:  # noqa: ARG002  # the signature is libp2p's
        return None


class _ConnectedNotifee(INotifee):
    """Tells the transport of a new connection; of its end the transport learns sooner by itself."""

    def __init__(self, on_connected: OnConnected) -> None:
        self._on_connected = on_connected

    async def connected(self, network: object, conn: INetConn) -> None:  # noqa: ARG002  # the signature is libp2p's
        assert isinstance(conn, SwarmConn), "a swarm announces its own connections"
        self._on_connected(conn)

    async def disconnected(self, network: object, conn: INetConn) -> None: ...

    async def opened_stream(self, network: object, stream: object) -> None: ...

    async def closed_stream(self, network: object, stream: object) -> None: ...

    async def listen(self, network: object, multiaddr: Multiaddr) -> None: ...

    async def listen_close(self, network: object, multiaddr: Multiaddr) -> None: ...


def build_host(
    settings: Libp2pSettings, identity: Identity, guard: StreamGuard, on_connected: OnConnected
) -> QuietHost:
    """Return a host with no listener; run it with `host.run([])`, and close it inside that block.

    Closing it outside leaks its connections (py-libp2p 0.8.1).
    """
    key_pair = create_new_key_pair(identity.secret_seed)
    peer_id = ID.from_pubkey(key_pair.public_key)
    noise = NoiseTransport(key_pair, noise_privkey=X25519PrivateKey.from_bytes(identity.session_key))
    upgrader = TransportUpgrader(
        secure_transports_by_protocol={TProtocol(NOISE): noise},
        muxer_transports_by_protocol={PROTOCOL_ID: YamuxConnection},
    )
    peerstore = PeerStore()
    peerstore.add_key_pair(peer_id, key_pair)
    swarm = Swarm(peer_id, peerstore, upgrader, transports=[], connection_config=_connection_config(settings))
    host = QuietHost(
        network=swarm, disable_identify_address_discovery=True, negotiate_timeout=max(1, round(settings.stream_idle_s))
    )
    host.swarm = swarm
    for protocol in [each for each in host.multiselect.handlers if each != PING]:
        del host.multiselect.handlers[protocol]
    guard.protect(swarm)
    swarm.register_notifee(_ConnectedNotifee(on_connected))
    return host


def _connection_config(settings: Libp2pSettings) -> ConnectionConfig:
    return ConnectionConfig(
        max_connections=settings.max_connections,
        high_watermark=settings.max_connections,
        low_watermark=0,
        min_connections=0,
        inbound_upgrade_timeout=settings.dial_timeout_s,
        outbound_upgrade_timeout=settings.dial_timeout_s,
        outbound_stream_protocol_negotiation_timeout=settings.stream_idle_s,
        inbound_stream_protocol_negotiation_timeout=settings.stream_idle_s,
    )
