"""A peer as users run it, but for what its first arguments change: the faults that no tool outside a process can make.

    python -m tests.altered_peer [--duty 0.05] [--delay-s 0.3] [--attack withhold] [--deaf] -- peer round.train_s=2

Everything after `--` is what `murmur` takes. The changes stand around the program, not in it: users' peers know nothing
of them. Used by the containers of tests/docker, by tests/process and by benchmarks/soak.py.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from peer.network.libp2p_unused import leave_out_unused

leave_out_unused()  # as `murmur peer` does, and before anything imports libp2p

import peer.errors  # noqa: E402
import peer.process  # noqa: E402  # by the line above
import peer.wire.envelope  # noqa: E402
from peer.admission.swarm_key import SwarmKey  # noqa: E402
from peer.agents.native_agent import NativeAgent  # noqa: E402
from peer.commands.table import app  # noqa: E402
from peer.network.identity import Identity  # noqa: E402
from peer.network.libp2p_transport import Libp2pSettings, Libp2pTransport, open_libp2p_transport  # noqa: E402
from peer.network.transport import Content, DownloadHandler, GossipMessage, RequestHandler  # noqa: E402
from peer.types import PeerId, Seconds, Session, TrainStats  # noqa: E402

_SHORTEST_S = 0.001
"""A call trains one whole rollout at least, however short it is asked to be."""

_IN_FLIGHT = 256


def main() -> None:
    split = sys.argv.index("--")
    parser = argparse.ArgumentParser(prog="tests.altered_peer", description=__doc__)
    parser.add_argument("--duty", type=float, default=1.0, help="part of its training time that the peer computes")
    parser.add_argument("--delay-s", type=float, default=0.0, help="how long each message of it is under way")
    parser.add_argument(
        "--attack", default="", help="a kind of peer.simulation.attacks that needs no knowledge of others"
    )
    parser.add_argument("--deaf", action="store_true", help="neither publishes nor hears gossip")
    parser.add_argument("--swarm-secret", default="", help="64 hex digits, put into a key file; none when empty")
    parser.add_argument("--version", type=int, help="of the protocol that it speaks")
    changes = parser.parse_args(sys.argv[1:split])
    if changes.duty < 1.0:
        _replace("NativeAgent", partial(RestingAgent, duty=changes.duty))
    if changes.deaf:
        _replace("open_libp2p_transport", _open_deaf)
    elif changes.delay_s or changes.attack:
        _replace("open_libp2p_transport", partial(_open_altered, delay_s=changes.delay_s, attack=changes.attack))
    if changes.swarm_secret:
        os.environ["MURMUR_NETWORK__SWARM_KEY_FILE"] = _key_file(bytes.fromhex(changes.swarm_secret))
    if changes.version is not None:
        vars(peer.wire.envelope)["PROTOCOL_VERSION"] = changes.version
    sys.argv[1:] = sys.argv[split + 1 :]
    app(prog_name="murmur")


class RestingAgent(NativeAgent):
    """Trains for a part of the time it is given and sleeps for the rest, so that many peers fit on a few cores."""

    def __init__(self, *args: object, duty: float, **settings: object) -> None:
        super().__init__(*args, **settings)  # type: ignore[arg-type]  # handed on as they came
        self._duty = duty

    async def train(self, *, seconds: Seconds) -> TrainStats:
        begun = trio.current_time()
        stats = await super().train(seconds=max(seconds * self._duty, _SHORTEST_S))
        await trio.sleep(max(begun + seconds - trio.current_time(), 0.0))
        return replace(stats, wall_s=trio.current_time() - begun)


class AlteredTransport:
    """Delays what this peer says and answers, and lies as an `Attack` does. Handshakes and pings stay as they are."""

    def __init__(
        self, transport: Libp2pTransport, nursery: trio.Nursery, *, delay_s: Seconds, liar: "Liar | None"
    ) -> None:
        self._transport = transport
        self._nursery = nursery
        self._delay_s = delay_s
        self._liar = liar
        self._in_flight = trio.CapacityLimiter(_IN_FLIGHT)

    def __getattr__(self, name: str) -> Any:  # Any: the rest of the transport, as it is
        return getattr(self._transport, name)

    async def publish(self, data: bytes) -> None:
        for message in [data] if self._liar is None else self._liar.say(data):
            self._nursery.start_soon(self._publish_later, message)
        await trio.lowlevel.checkpoint()

    async def request(self, peer: PeerId, protocol: str, data: bytes, *, session: Session | None = None) -> bytes:
        await trio.sleep(self._delay_s)
        return await self._transport.request(peer, protocol, data, session=session)

    def handle(self, protocol: str, handler: RequestHandler, *, strangers: bool = False) -> None:
        async def answer_late(remote: PeerId, data: bytes) -> bytes:
            answer = await handler(remote, data)
            await trio.sleep(self._delay_s)
            return answer

        self._transport.handle(protocol, answer_late, strangers=strangers)

    async def download(self, remote: PeerId, protocol: str, data: bytes, **arguments: Any) -> None:  # Any: handed on
        await trio.sleep(self._delay_s)
        await self._transport.download(remote, protocol, data, **arguments)

    def handle_download(self, protocol: str, handler: DownloadHandler) -> None:
        served = handler if self._liar is None else self._liar.wrap(handler)

        @asynccontextmanager
        async def serve_late(remote: PeerId, data: bytes) -> AsyncIterator[Content]:
            async with served(remote, data) as content:
                await trio.sleep(self._delay_s)
                yield content

        self._transport.handle_download(protocol, serve_late)

    async def _publish_later(self, data: bytes) -> None:
        async with self._in_flight:
            await trio.sleep(self._delay_s)
            try:
                await self._transport.publish(data)
            except (peer.errors.TransportError, ValueError):
                return  # lost: what is too large never leaves, and gossip promises nothing


class DeafTransport:
    """Publishes nothing and hears nothing; connections, requests and downloads are as they are."""

    def __init__(self, transport: Libp2pTransport) -> None:
        self._transport = transport
        self._silence_in, self.gossip = trio.open_memory_channel[GossipMessage](0)

    def __getattr__(self, name: str) -> Any:  # Any: the rest of the transport, as it is
        return getattr(self._transport, name)

    async def publish(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()


class Liar:
    """An attack of the simulator on a real network: changes what is gossiped and which blobs are served."""

    def __init__(self, kind: str, identity: Identity) -> None:
        from peer.simulation.attacks.attack import Insight
        from peer.simulation.attacks.registry import make_attack

        self._make = partial(make_attack, kind, identity, insight=Insight(), seed=(1, 1))  # type: ignore[arg-type]  # it signs
        self._attack: Any = None  # Any: made with the run id of the first message

    def say(self, data: bytes) -> list[bytes]:
        import msgspec

        from peer.simulation.attacks.attack import Letter
        from peer.wire.messages import Announcement, announcement

        said = msgspec.msgpack.decode(data, type=Announcement)
        if self._attack is None:
            self._attack = self._make(run=msgspec.msgpack.decode(said.envelope)[1])
        letters = self._attack.send(Letter(envelope=said.envelope, payload=said.payload))
        return [announcement(letter.envelope, letter.payload) for letter in letters]

    def wrap(self, handler: DownloadHandler) -> DownloadHandler:
        from peer.types import Digest
        from peer.wire.sync import BlobRequest, decode

        @asynccontextmanager
        async def serve(remote: PeerId, data: bytes) -> AsyncIterator[Content]:
            async with handler(remote, data) as content:
                honest = bytes(content) or None
                blob = Digest(decode(data, BlobRequest).blob)
                yield (honest if self._attack is None else self._attack.serve(blob, honest)) or b""

        return serve


@asynccontextmanager
async def _open_altered(
    settings: Libp2pSettings, identity: Identity, *, delay_s: Seconds, attack: str
) -> AsyncIterator[AlteredTransport]:
    liar = Liar(attack, identity) if attack else None
    async with open_libp2p_transport(settings, identity) as transport, trio.open_nursery() as nursery:
        yield AlteredTransport(transport, nursery, delay_s=delay_s, liar=liar)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _open_deaf(settings: Libp2pSettings, identity: Identity) -> AsyncIterator[DeafTransport]:
    async with open_libp2p_transport(settings, identity) as transport:
        yield DeafTransport(transport)


def _key_file(secret: bytes) -> str:
    """Return the path of a swarm key's file that this process alone can read."""
    descriptor, path = tempfile.mkstemp(suffix=".key")
    with os.fdopen(descriptor, "w") as file:
        file.write(SwarmKey(secret).text())
    return path


def _replace(name: str, by: Callable[..., object]) -> None:
    """Put `by` where peer.process builds a part of the peer. Raises: AttributeError when the part has moved."""
    getattr(peer.process, name)
    setattr(peer.process, name, by)


if __name__ == "__main__":
    main()
