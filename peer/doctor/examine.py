"""All checks, in the order in which a peer would run into them."""

from collections.abc import Callable

import trio

from peer.config.goal import stray_goal
from peer.config.schema import Config
from peer.doctor.admission_checks import check_admission
from peer.doctor.finding import Finding, failed
from peer.doctor.machine_checks import check_clock, check_compute, check_disk, check_identities, check_open_files
from peer.doctor.peer_checks import check_peers
from peer.doctor.port_check import check_port
from peer.doctor.reachability_checks import check_announced
from peer.network.libp2p_logging import quiet_libp2p_logging


def examine(config: Config, tell: Callable[[Finding], None]) -> list[Finding]:
    """Run every check, telling each finding as it comes; one that fails does not stop the others."""
    findings: list[Finding] = []

    def found(finding: Finding) -> None:
        findings.append(finding)
        tell(finding)

    found(Finding(verdict="ok", subject="config", text=f"run {config.run.name}, env {config.env.name}"))
    if (odd := stray_goal(config)) is not None:
        found(Finding(verdict="warn", subject="goal", text=odd.text()))
    for checks in (
        check_disk(config),
        check_identities(config),
        check_admission(config),
        check_compute(config),
        check_open_files(config),
        check_clock(),
        check_announced(config),
    ):
        for finding in checks:
            found(finding)
    if not failed([finding for finding in findings if finding.subject == "compute"]):
        quiet_libp2p_logging()
        trio.run(_examine_network, config, found)
    return findings


async def _examine_network(config: Config, found: Callable[[Finding], None]) -> None:
    async for finding in check_port(config):
        found(finding)
    await check_peers(config, found)
