"""The doctor at other peers: whatever answers, or does not, is told apart, and a healthy one is left in peace."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from peer.admission.allow_list import AllowListFile, Authority, Listed, signed
from peer.admission.policy import AdmissionPolicy, FoundList
from peer.agents.native_agent import NativeAgent
from peer.config.digest import digest, section_hints
from peer.config.schema import Config
from peer.doctor import peer_checks
from peer.doctor.finding import Finding
from peer.doctor.peer_checks import check_peers
from peer.network.identity import Identity
from peer.network.key_file import load_or_create_identity
from peer.network.libp2p_settings import Libp2pSettings
from peer.network.libp2p_transport import Libp2pTransport, open_libp2p_transport
from peer.round_parts import wire_run_id
from peer.services.admission import AdmissionDesk
from peer.services.allow_lists import AllowListDesk
from peer.settings import ppo_settings
from peer.storage.swarm_key_file import load_swarm_key, write_new_swarm_key
from peer.telemetry.sink import RecordingSink
from peer.types import PeerId
from peer.wire.envelope import seal
from peer.wire.messages import PeerCard
from peer.wire.sync import CARD_PROTOCOL
from tests.unit.doctor.findings import only


def config_for(*addresses: str, **sections: dict[str, object]) -> Config:
    return Config.model_validate({"network": {"addresses": addresses}, **sections})


async def findings_of(config: Config) -> list[Finding]:
    found: list[Finding] = []
    await check_peers(config, found.append)
    return found


@asynccontextmanager
async def answering_peer(
    config: Config, *, schema: bytes | None = None, policy: AdmissionPolicy | None = None
) -> AsyncIterator[Libp2pTransport]:
    """A peer that shows the card of `config`, and of the model that it makes unless `schema` says otherwise."""
    identity, run = Identity.for_tests(7), wire_run_id(config)
    settings = Libp2pSettings(run_id=run.hex(), listen_address="/ip4/127.0.0.1/tcp/0")
    own = NativeAgent(config.env.name, settings=ppo_settings(config, identity.peer_id)).schema.digest
    hints = section_hints(config)
    card = PeerCard(boot=3, name="host", addresses=(), config=digest(config), schema=schema or own, sections=hints)

    async def show(_peer: PeerId, _data: bytes) -> bytes:
        return seal(card, identity, run=run).data

    async with open_libp2p_transport(settings, identity) as transport:
        transport.handle(CARD_PROTOCOL, show)
        policy = policy or AdmissionPolicy()
        lists = AllowListDesk(transport, policy=policy, sink=RecordingSink(), rng=random.Random(1))
        lists.open()
        AdmissionDesk(transport, run=run, policy=policy, lists=lists).open()
        yield transport


async def test_a_peer_of_our_run_is_found_and_not_harmed() -> None:
    async with answering_peer(config_for()) as peer:
        finding = only(await findings_of(config_for(*peer.listen_addresses)))
        assert finding.verdict == "ok", finding
        assert "host" in finding.text
        assert peer.counters().get("frames_refused", 0) == 0
        assert peer.counters().get("protocol_errors", 0) == 0


@pytest.mark.parametrize(
    ("sections", "reason"),
    [({"run": {"seed": 99}}, "config"), ({"model": {"hidden": (8,)}}, "schema"), ({"run": {"name": "other"}}, "run")],
)
async def test_a_peer_that_would_refuse_us_says_why(sections: dict[str, dict[str, object]], reason: str) -> None:
    async with answering_peer(config_for()) as peer:
        finding = only(await findings_of(config_for(*peer.listen_addresses, **sections)))
    assert finding.verdict == "fail"
    assert f"({reason})" in finding.text
    assert reason != "config" or finding.text.endswith("configs/config.yaml, in run")
    assert "run.name" in finding.next_step or "settings" in finding.next_step or "(=)" in finding.next_step


async def test_a_peer_with_another_swarm_key_or_none_is_named_with_the_command_to_compare(tmp_path: Path) -> None:
    for name in ("ours.key", "other.key"):
        write_new_swarm_key(tmp_path / name)
    ours = {"swarm_key_file": str(tmp_path / "ours.key")}
    for key, verdict in (("ours.key", "ok"), ("other.key", "fail"), (None, "fail")):
        policy = AdmissionPolicy(swarm_key=None if key is None else load_swarm_key(tmp_path / key))
        async with answering_peer(config_for(), policy=policy) as peer:
            network = {"addresses": peer.listen_addresses, **ours}
            finding = only(await findings_of(Config.model_validate({"network": network})))
        assert finding.verdict == verdict, (key, finding)
        assert ("(swarm_key)" in finding.text and "swarm-key show" in finding.next_step) == (verdict == "fail")


async def test_a_peer_whose_newer_allow_list_leaves_ours_out_is_told_before_we_start(tmp_path: Path) -> None:
    """The list comes from the peer: this machine has none."""
    chief, host = Identity.for_tests(70), Identity.for_tests(7)
    own = load_or_create_identity(tmp_path / "slot-0" / "identity.key")
    authority = Authority(keys=(chief.peer_id,))
    network = {"authorities": (chief.peer_id,)}
    for ids, verdict in (((host.peer_id,), "fail"), ((host.peer_id, own.peer_id), "ok"), ((own.peer_id,), "fail")):
        peers = tuple(Listed(peer=peer) for peer in sorted(ids))
        data = signed(AllowListFile(run="cartpole", version=3, peers=peers), chief).text()
        policy = AdmissionPolicy(run="cartpole", authority=authority, known=(FoundList("swarm.json", data),))
        async with answering_peer(config_for(), policy=policy) as peer:
            sections = {
                "network": {"addresses": peer.listen_addresses, **network},
                "storage": {"data_dir": str(tmp_path)},
            }
            finding = only(await findings_of(Config.model_validate(sections)))
        assert finding.verdict == verdict, (ids, finding)
        assert ("allow-list" in finding.text) == (verdict == "fail")


async def test_nobody_another_program_and_an_unknown_name_are_told_apart(nursery: trio.Nursery) -> None:
    async def web_server(stream: trio.SocketStream) -> None:
        await stream.send_all(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        await stream.aclose()

    listener, *_ = await nursery.start(partial(trio.serve_tcp, web_server, 0, host="127.0.0.1"))
    taken = listener.socket.getsockname()[1]
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))  # and held, so that nobody else listens there meanwhile
        free = unused.getsockname()[1]
        config = config_for(
            f"/ip4/127.0.0.1/tcp/{free}", f"/ip4/127.0.0.1/tcp/{taken}", "/dns4/nowhere.invalid/tcp/4001"
        )
        nobody, other, unknown = await findings_of(config)
    assert [nobody.verdict, other.verdict, unknown.verdict] == ["fail"] * 3
    assert "refused" in nobody.text
    assert "no handshake" in other.text
    assert "resolve" in unknown.text


async def test_dead_addresses_are_waited_for_together_and_told_in_their_order(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Ten that a firewall swallows took ten times as long as one. What answers is told before they are."""
    addresses = [f"/ip4/192.0.2.{number}/tcp/4001" for number in range(1, 41)]
    told: list[tuple[float, str]] = []

    async def check(_visitor: object, address: str) -> Finding:
        await trio.sleep(0.1 if address == addresses[0] else 10.0)
        return Finding(verdict="ok", subject="peer", text=address)

    monkeypatch.setattr(peer_checks._Visitor, "check", check)
    started = trio.current_time()
    await check_peers(config_for(*addresses), lambda found: told.append((trio.current_time() - started, found.text)))
    assert [text for _, text in told] == addresses
    assert told[0][0] == pytest.approx(0.1)
    assert told[-1][0] == pytest.approx(30.0, abs=0.5)


async def test_two_addresses_of_one_peer_are_both_found() -> None:
    async with answering_peer(config_for()) as peer:
        port = peer.listen_addresses[0].rpartition("/")[2]
        findings = await findings_of(config_for(f"/ip4/127.0.0.1/tcp/{port}", f"/dns4/localhost/tcp/{port}"))
    assert [finding.verdict for finding in findings] == ["ok", "ok"]


async def test_name_that_cannot_be_resolved_is_not_called_no_peer_at_all() -> None:
    config = Config.model_validate({"network": {"dns": ("nowhere.invalid",)}})
    finding = only(await findings_of(config))
    assert (finding.verdict, finding.subject) == ("fail", "dns")


async def test_no_address_at_all_is_only_a_warning() -> None:
    assert only(await findings_of(config_for())).verdict == "warn"
