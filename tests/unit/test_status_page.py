"""What `murmur status` prints of admission, of peers that are denied or gone, and of one identity that runs twice."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from peer.services.status_answer import AdmissionStatus, DeniedStatus, GoneStatus, PeerStatus, Status
from peer.status_page import SlotReport, page


def peer_status(name: str, *, me: bool = False, runs_twice: bool = False) -> PeerStatus:
    return PeerStatus(
        name=name,
        peer_id=f"12D3KooW{name}",
        me=me,
        connected=not me,
        missed=0,
        steps_per_s=1000,
        admitted=True,
        boot=1,
        silent_s=None,
        suspected_by=0,
        runs_twice=runs_twice,
    )


def page_of(
    *peers: PeerStatus,
    superseded: str = "",
    denied: Sequence[DeniedStatus] = (),
    admission: AdmissionStatus | None = None,
    gone: Sequence[GoneStatus] = (),
    open_s: float | None = None,
) -> list[str]:
    status = Status(
        version="0.1.0",
        name="peer-1",
        peer_id="12D3KooWme",
        boot=1,
        pid=7,
        run="cartpole",
        env="CartPole-v1",
        addresses=["/ip4/192.0.2.7/tcp/4001"],
        announced=[],
        reached=None,
        uptime_s=60.0,
        computes_on="nothing",
        round=3,
        final_round=3,
        lag=0,
        model="ab" * 32,
        env_steps=100,
        mean_return=None,
        best_return=None,
        finished=False,
        waiting_for="the deltas of peer-2",
        peers=list(peers),
        bytes_sent=0,
        bytes_received=0,
        refused={},
        counters={},
        troubles=[],
        local_health=0,
        superseded=superseded,
        denied=list(denied),
        admission=admission,
        gone=list(gone),
        open_s=open_s,
    )
    return page([SlotReport(slot=Path("slot-0"), status=status)]).splitlines()


def test_a_process_that_takes_no_part_says_why_instead_of_what_it_waits_for() -> None:
    lines = page_of(superseded="this identity runs twice")
    assert "  TAKES NO PART: this identity runs twice" in lines
    assert not [line for line in lines if "waiting for" in line]
    assert "  waiting for the deltas of peer-2" in page_of()


def test_a_round_that_does_not_end_shows_by_its_age() -> None:
    assert "  waiting for the deltas of peer-2; round 4 is open since 10 min" in page_of(open_s=600.0)


def test_a_peer_whose_identity_runs_twice_is_marked() -> None:
    lines = page_of(peer_status("peer-1", me=True), peer_status("peer-2", runs_twice=True), peer_status("peer-3"))
    assert [line.split()[0] for line in lines if "RUNS TWICE" in line] == ["peer-2"]


@pytest.mark.parametrize(
    ("admission", "said"),
    [
        (AdmissionStatus(swarm_key=None, list_version=None, listed=0, named=True), "open to whoever reaches it"),
        (AdmissionStatus(swarm_key="ab12", list_version=None, listed=0, named=True), "  swarm key ab12"),
        (AdmissionStatus(swarm_key="ab12", list_version=3, listed=5, named=True),
         "swarm key ab12; allow-list version 3 of 5 peers, this one among them"),
        (AdmissionStatus(swarm_key=None, list_version=3, listed=5, named=False), "NOT THIS ONE"),
        (AdmissionStatus(swarm_key=None, list_version=0, listed=0, named=False), "no allow-list yet"),
    ],
)  # fmt: skip
def test_who_may_take_part_is_one_line(admission: AdmissionStatus, said: str) -> None:
    assert len([line for line in page_of(admission=admission) if said in line]) == 1


def test_denied_peers_are_listed_with_the_reason() -> None:
    denied = DeniedStatus(name="peer-4", peer_id="12D3KooWx", what="it voted twice in round 41, differently")
    assert "  denied peer-4 (12D3KooWx): it voted twice in round 41, differently" in page_of(denied=[denied])


def test_peers_that_have_gone_are_listed_with_how_and_when() -> None:
    gone = [
        GoneStatus(name="peer-3", peer_id="12D3KooWx", stopped=False, cause="no answer to \x1b[31mpings", age_s=12.4),
        GoneStatus(name="peer-2", peer_id="12D3KooWy", stopped=True, cause="it has stopped", age_s=200.0),
    ]
    lines = page_of(gone=gone)
    first = lines.index("  gone lately:")
    assert lines[first + 1].startswith("      12 s ago  lost peer-3: no answer to ")
    assert "\x1b" not in lines[first + 1]
    assert lines[first + 2] == "     3 min ago  peer-2 has stopped"
    assert "  gone lately:" not in page_of()
