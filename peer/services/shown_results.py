"""What people are shown of a sealed round, in the log and by `murmur status`: its return, and why the run ended."""

import math

from peer.rounds.entry import Entry
from peer.rounds.manifest import STOP_RETURN, STOP_ROUNDS, agreed_return
from peer.telemetry.round_events import SOLVED

STOP_REASONS = {STOP_RETURN: SOLVED, STOP_ROUNDS: "max_rounds"}
"""Why a run ends, as the log says it."""


def shown_return(entry: Entry) -> float:
    """Return what the peers measured for the model before this round; else what their training episodes earned.

    NaN where there is neither.
    """
    agreed = agreed_return(entry.deltas)
    if agreed is not None:
        return agreed
    trained = [delta.message.mean_return for delta in entry.deltas if delta.message.mean_return is not None]
    return sum(trained) / len(trained) if trained else math.nan
