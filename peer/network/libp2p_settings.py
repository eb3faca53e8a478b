"""What the libp2p transport needs to know, and where each default comes from."""

from dataclasses import dataclass

from peer.types import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Libp2pSettings:
    """Settings of one libp2p attachment.

    run_id: peers gossip with the peers of the same run only. listen_address: `/ip4/<ip>/tcp/<port>`, port 0
    for any free one. dial_timeout_s: bound on one dial, handshakes included.
    ping_interval_s, ping_timeout_s: a peer that hangs without closing its connection is given up after the
    interval and two timeouts at most, 11 s (libp2p alone: over 75 s); a crashed process is noticed by TCP in
    0.3 s. Shorter timeouts take the swarm apart on an overloaded machine: with 2 s, three busy loops beside it
    on two cores were enough.
    stream_idle_s: how long the other end of a request may take to send it, so that a silent peer holds
    nothing for ever. max_connections: above it, new ones are refused. max_peer_streams: requests one peer may
    have us work on at a time. gossip_queue: messages kept for the services; when full, the newest is dropped
    and counted. gossip_rate: frames of gossip a second that one neighbour may hand us; twice as many at once.
    request_rate: requests a second that one peer may make; 64 peers make about 100. stream_rate: the same of
    streams, those of gossip and pings included. unasked_bytes_rate: of gossip and requests of one peer.
    piece_rate: of frames below its streams, and of messages of the session, that carry less than 1 KiB: each small
    message, request, response or ping takes one of both, which at the rates above is 3,000.
    connect_rate: connections a second of one host, 256 at once. ban_s: how long a peer that goes on above a rate
    is refused. tell_s: between two looks at what neighbours may have missed of gossip.
    """

    run_id: str
    listen_address: str = "/ip4/0.0.0.0/tcp/0"
    dial_timeout_s: Seconds = 10.0
    ping_interval_s: Seconds = 3.0
    ping_timeout_s: Seconds = 4.0
    stream_idle_s: Seconds = 10.0
    max_connections: int = 512
    max_peer_streams: int = 256
    gossip_queue: int = 1024
    gossip_rate: float = 500.0
    request_rate: float = 200.0
    stream_rate: float = 500.0
    unasked_bytes_rate: float = 32e6
    piece_rate: float = 4000.0
    connect_rate: float = 20.0
    ban_s: Seconds = 60.0
    tell_s: Seconds = 0.5
