"""What the doctor found, for tests that expect one thing."""

from peer.doctor.finding import Finding


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding
