"""The totals that every transport keeps; a name that is not listed here is a bug."""

COUNTER_NAMES = (
    "bytes_sent",
    "bytes_received",
    "gossip_dropped",
    "gossip_interrupted",
    "handler_errors",
    "protocol_errors",
    "dials_failed",
    "frames_refused",
    "floods_refused",
    "flooders_banned",
)


def new_counters() -> dict[str, int]:
    """Return all counters of a transport, at zero."""
    return dict.fromkeys(COUNTER_NAMES, 0)
