"""The rules by the name that the config uses; a new rule is one file and one entry here."""

from collections.abc import Callable
from dataclasses import dataclass

from peer.aggregation.centered_clipping import CenteredClipping
from peer.aggregation.clipped_mean import ClippedMean
from peer.aggregation.coordinate_median import coordinate_median
from peer.aggregation.geometric_median import geometric_median
from peer.aggregation.mean import mean
from peer.aggregation.multi_krum import MultiKrum, most_bad
from peer.aggregation.rule import Rule, RuleOptions
from peer.aggregation.trimmed_mean import TrimmedMean, trimmed

FEWEST_PEERS = 4
"""Among three, the two honest ones cannot be told from two that conspire; no rule claims anything there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleEntry:
    """A rule, and what it claims.

    make: the rule for some options. withstands: how many bad peers among K, by its paper.

    needs_dense: it looks at coordinates one by one. Of sparse deltas most are zero at most coordinates, so the middle
    value is zero nearly everywhere: learning would stop without any attacker.
    """

    make: Callable[[RuleOptions], Rule]
    withstands: Callable[[int, RuleOptions], int]
    needs_dense: bool = False


RULES: dict[str, RuleEntry] = {
    "mean": RuleEntry(make=lambda _: mean, withstands=lambda _peers, _options: 0),
    # It bounds what each peer can do and takes no side: three of 13 that flip signs still spoil Pendulum-v1
    # (benchmarks/results/byzantine.txt), so nothing is claimed.
    "clipped-mean": RuleEntry(make=ClippedMean, withstands=lambda _peers, _options: 0),
    "centered-clipping": RuleEntry(make=CenteredClipping, withstands=lambda peers, _: _minority(peers)),
    "geometric-median": RuleEntry(make=lambda _: geometric_median, withstands=lambda peers, _: _minority(peers)),
    "multi-krum": RuleEntry(make=MultiKrum, withstands=lambda peers, options: most_bad(peers, options.assumed_bad)),
    "median": RuleEntry(
        make=lambda _: coordinate_median, withstands=lambda peers, _: _minority(peers), needs_dense=True
    ),
    "trimmed-mean": RuleEntry(
        make=TrimmedMean, withstands=lambda peers, options: trimmed(peers, options.assumed_bad), needs_dense=True
    ),
}


def withstands(rule: str, options: RuleOptions, *, peers: int, bucket_size: int = 1) -> int:
    """Return how many bad peers among `peers` the rule claims to withstand; 0 below four."""
    inputs = -(-peers // bucket_size)  # one bad peer spoils one bucket
    return RULES[rule].withstands(inputs, options) if min(peers, inputs) >= FEWEST_PEERS else 0


def _minority(peers: int) -> int:
    return max(0, peers - 1) // 2
