"""A status as a peer may tell it."""

from peer.services.status_answer import Status


def status(round_number: int = 7) -> Status:
    return Status(
        version="1", name="peer-1", peer_id="12D3", boot=3, pid=1, run="r", env="e", addresses=[],
        announced=[], reached=None, uptime_s=1.0,
        computes_on="cpu", round=round_number, final_round=6, lag=1, model="ab", env_steps=5, mean_return=None,
        best_return=None, finished=False, waiting_for="x", peers=[], bytes_sent=0, bytes_received=0, refused={},
        counters={}, troubles=[], local_health=0,
    )  # fmt: skip
