"""The doctor at our port: one that another program holds is told from that of a peer that runs here."""

import socket
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from peer.config.schema import Config
from peer.doctor import reachability_checks
from peer.doctor.port_check import check_port
from tests.held_port import held_port
from tests.unit.doctor.findings import only
from tests.unit.services.statuses import status


async def test_a_taken_port_is_named() -> None:
    with held_port() as port:
        config = Config.model_validate({"network": {"listen_host": "127.0.0.1", "port": port}})
        with socket.create_server(("127.0.0.1", port)):
            finding = only([finding async for finding in check_port(config)])
        free = only([finding async for finding in check_port(config)])
    assert finding.verdict == "fail"
    assert str(port) in finding.text
    assert "another network.port" in finding.next_step
    assert free.verdict == "warn"  # loopback: nobody else can reach it


async def test_address_of_another_machine_is_not_called_a_taken_port() -> None:
    network = {"listen_host": "192.0.2.1", "port": 0}
    finding = only([finding async for finding in check_port(Config.model_validate({"network": network}))])
    assert finding.verdict == "fail"
    assert finding.next_step.startswith("set network.listen_host to an address of this machine")


async def test_port_of_a_peer_that_runs_here_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever asks the doctor about a peer that runs is told that all is well, by the exit code too."""
    (tmp_path / "slot-0").mkdir()
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        running = replace(status(), addresses=[f"/ip4/127.0.0.1/tcp/{port}"])
        monkeypatch.setattr(reachability_checks, "read_status", lambda _slot, **_: running)
        sections = {"network": {"listen_host": "127.0.0.1", "port": port}, "storage": {"data_dir": str(tmp_path)}}
        finding = only([finding async for finding in check_port(Config.model_validate(sections))])
    assert (finding.verdict, finding.text) == ("ok", f"127.0.0.1 port {port} is peer-1's, which runs here")
