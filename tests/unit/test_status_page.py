"""What `murmur status` prints of one identity that runs twice."""

from pathlib import Path

from peer.services.status import PeerStatus, Status
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


def page_of(*peers: PeerStatus, superseded: str = "") -> list[str]:
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
    )
    return page([SlotReport(slot=Path("slot-0"), status=status)]).splitlines()


def test_a_process_that_takes_no_part_says_why_instead_of_what_it_waits_for() -> None:
    lines = page_of(superseded="this identity runs twice")
    assert "  TAKES NO PART: this identity runs twice" in lines
    assert not [line for line in lines if "waiting for" in line]
    assert "  waiting for the deltas of peer-2" in page_of()


def test_a_peer_whose_identity_runs_twice_is_marked() -> None:
    lines = page_of(peer_status("peer-1", me=True), peer_status("peer-2", runs_twice=True), peer_status("peer-3"))
    assert [line.split()[0] for line in lines if "RUNS TWICE" in line] == ["peer-2"]
