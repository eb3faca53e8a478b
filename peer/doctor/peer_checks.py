"""Checks of the other peers: every address that the configuration leads to, one step after the other."""

import random
import socket
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from peer.addresses import parse_tcp_address
from peer.agents.native_agent import NativeAgent
from peer.config.digest import digest, section_hints
from peer.config.schema import Config
from peer.doctor.admission_checks import unnamed_peers
from peer.doctor.finding import Finding
from peer.errors import ProtocolError, SelfDialError, StorageError, TransportError
from peer.network.discovery.dns import DnsDiscovery
from peer.network.identity import Identity
from peer.network.libp2p_dial import open_socket
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.libp2p_transport import open_libp2p_transport
from peer.network.transport import Transport
from peer.peer_ids import short
from peer.round_parts import wire_run_id
from peer.services.admission import AdmissionDesk
from peer.services.allow_lists import AllowListDesk
from peer.services.welcome import Welcome
from peer.settings import admission_policy, listen_family, ppo_settings
from peer.telemetry.plain_text import plural
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId, Seconds
from peer.wire.envelope import seal
from peer.wire.messages import PeerCard
from peer.wire.sync import CARD_PROTOCOL

_STEP_S: Seconds = 5.0
_MAX_ADDRESSES = 64
_AT_ONCE = 16
_MAX_CAUSE = 160
_REMEDIES = {
    "version": "run the same release of murmuration on all peers",
    "run": "give both the same run.name",
    "schema": "give both the same env and model settings",
    "config": "compare the keys marked (=) in configs/config.yaml on both machines",
    "swarm_key": "`murmur swarm-key show FILE` on both machines; copy the right network.swarm_key_file",
    "authorities": "give both the same network.authorities and network.authority_signatures",
    "not_allowed": "`murmur allow-list add` and `sign`, and give the file to any running peer",
}


async def check_peers(config: Config, tell: Callable[[Finding], None]) -> None:
    """Follow every address of network.dns and network.addresses: resolve, connect, handshake, card."""
    addresses: list[str] = [str(parse_tcp_address(address)) for address in config.network.addresses]
    for name in config.network.dns:
        addresses += await _resolve(name, config, tell)
    if not addresses and config.network.mdns:
        tell(Finding(verdict="ok", subject="peers", text="found by mDNS alone: none is named to be checked from here"))
        return
    if not addresses and not config.network.dns:
        step = "fine for the first or a lone peer; others need network.addresses or network.dns"
        text = "the configuration names no other peer"
        tell(Finding(verdict="warn", subject="peers", text=text, next_step=step))
        return
    await _check_all(list(dict.fromkeys(addresses))[:_MAX_ADDRESSES], _Visitor(config), tell)


async def _resolve(name: str, config: Config, tell: Callable[[Finding], None]) -> tuple[str, ...]:
    try:
        with trio.fail_after(_STEP_S):
            source = DnsDiscovery(name, port=config.network.port, own_addresses=tuple, family=listen_family(config))
            found = tuple(await source.addresses())
    except (TransportError, trio.TooSlowError) as error:
        step = "check the name, and that it is resolved from here (getent hosts NAME)"
        text = str(error) or f"{name}: no answer"
        tell(Finding(verdict="fail", subject="dns", text=text, next_step=step))
        return ()
    text = f"{name} stands for {plural(len(found), 'address', ending='es')}"
    tell(Finding(verdict="ok", subject="dns", text=text))
    return found


async def _check_all(addresses: Sequence[str], visitor: "_Visitor", tell: Callable[[Finding], None]) -> None:
    """Check several addresses at once, as each dead one takes two deadlines; tell of them in the order given."""
    found: dict[str, Finding] = {}
    left, untold = iter(addresses), deque(addresses)

    async def check() -> None:
        for address in left:
            found[address] = await visitor.check(address)
            while untold and untold[0] in found:
                tell(found[untold.popleft()])

    async with trio.open_nursery() as nursery:
        for _ in range(_AT_ONCE):
            nursery.start_soon(check)


class _Visitor:
    """Goes to one address after the other, each time as another peer: two addresses may lead to the same one."""

    def __init__(self, config: Config) -> None:
        self._config = config
        agent = NativeAgent(config.env.name, settings=ppo_settings(config, Identity.generate().peer_id))
        self._card = PeerCard(
            boot=0,
            name="doctor",
            addresses=(),
            config=digest(config),
            schema=agent.schema.digest,
            sections=section_hints(config),
        )
        loopback = "/ip6/::1/tcp/0" if listen_family(config) == socket.AF_INET6 else "/ip4/127.0.0.1/tcp/0"
        self._settings = Libp2pSettings(run_id=wire_run_id(config).hex(), listen_address=loopback)

    async def check(self, address: str) -> Finding:
        """Go as far as it goes; the finding names the step that failed."""
        identity, run = Identity.generate(), wire_run_id(self._config)
        welcome = Welcome(run=run, card=seal(self._card, identity, run=run))
        async with open_libp2p_transport(self._settings, identity) as transport:
            return await _check_address(address, self._config, transport, welcome)


async def _check_address(address: str, config: Config, transport: Transport, welcome: Welcome) -> Finding:
    started = trio.current_time()
    try:
        with trio.fail_after(_STEP_S):
            peer = await transport.connect(address)
            answer = await transport.request(peer, CARD_PROTOCOL, welcome.card.data)
            card = welcome.check(peer, answer).message
            await _check_admission(peer, config, transport)
    except SelfDialError:
        return Finding(verdict="ok", subject="peer", text=f"{address}: that is this peer itself")
    except StorageError as error:
        text, step = f"{address}: admission could not be tried: {error}", "mend that file first"
        return Finding(verdict="fail", subject="peer", text=text, next_step=step)
    except (TransportError, trio.TooSlowError) as error:
        return await _why_no_handshake(address, str(error) or f"no answer within {_STEP_S:.0f} s")
    except ProtocolError as error:
        step = _REMEDIES.get(error.reason, "look at the log of the peer there")
        text = f"{address}: a peer answers, but would refuse us ({error.reason}): {error.detail}"
        return Finding(verdict="fail", subject="peer", text=text, next_step=step)
    took_ms = 1000 * (trio.current_time() - started)
    text = f"{address}: {card.name} (...{short(peer)}, boot {card.boot}) would take us in; {took_ms:.0f} ms"
    return Finding(verdict="ok", subject="peer", text=text)


async def _check_admission(peer: PeerId, config: Config, transport: Transport) -> None:
    """Go through the handshake as a peer of this machine would, as far as that can be done under another identity.

    Raises: ProtocolError with why one side would refuse the other; TransportError, StorageError.
    """
    policy = admission_policy(config, Path(config.storage.data_dir) / "slot-0")
    passing_on = random.Random(0)  # which is not done here
    lists = AllowListDesk(transport, policy=policy, sink=RecordingSink(), rng=passing_on)
    desk = AdmissionDesk(transport, run=wire_run_id(config), policy=policy, lists=lists)
    await desk.challenge(peer)
    objection = desk.objection(peer)
    if objection is not None:
        raise objection
    unnamed = [] if lists.newest is None else unnamed_peers(config, lists.newest)
    if unnamed:
        said = f"its allow-list, version {lists.version}, does not name {', '.join(unnamed)} of this machine"
        raise ProtocolError("not_allowed", said)


async def _why_no_handshake(address: str, cause: str) -> Finding:
    """Tell an address where nobody listens from one where something else does.

    Only after a failed handshake: a bare connection is counted as an intruder over there.
    """
    try:
        with trio.fail_after(_STEP_S):
            await (await open_socket(parse_tcp_address(address))).aclose()
    except trio.TooSlowError:
        text = f"{address}: no answer to TCP within {_STEP_S:.0f} s"
        step = "a firewall drops the packets, or the machine is off: allow the port on every way between"
    except TransportError as error:
        text = f"{address}: {str(error).removeprefix(f'cannot reach {address}: ')}"
        step = "start a peer there, or correct name, address and port"
    else:
        text = f"{address}: takes TCP, but no handshake: {cause[:_MAX_CAUSE]}"
        step = "another program may own the port, or the peer hangs: run murmur status over there"
    return Finding(verdict="fail", subject="peer", text=text, next_step=step)
