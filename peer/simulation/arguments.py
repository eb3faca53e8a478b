"""A scenario as text: what the command line takes, and the line that replays a run."""

import re
import shlex
from dataclasses import replace
from decimal import Decimal

from peer.config.describe import names
from peer.config.likeness import nearest
from peer.simulation.attacks.registry import ATTACKS
from peer.simulation.scenario import Attackers, Partition, Scenario
from peer.types import Seconds

_DURATION = re.compile(r"([0-9]*\.?[0-9]+)(ms|s|min)?")
_UNIT_S = {"ms": 1e-3, "s": 1.0, "min": 60.0, None: 1.0}
_DEFAULTS = Scenario()


def parse_duration(text: str, option: str) -> Seconds:
    """Return "80ms", "1.5s", "2min" or plain seconds in seconds. Raises: ValueError naming `option`."""
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{option}: expected a duration such as 80ms or 1.5s, got {text!r}")
    return float(found[1]) * _UNIT_S[found[2]]


def parse_byzantine(text: str) -> Attackers:
    """Return "0.2:sign_flip" as a group of attackers. Raises: ValueError naming the option and the kinds."""
    share_text, colon, kind = text.partition(":")
    try:
        share = float(share_text)
    except ValueError:
        share = -1.0
    if not colon or not 0 <= share < 1:
        raise ValueError(f"--byzantine: expected SHARE:KIND such as 0.2:sign_flip, the share below 1, got {text!r}")
    if kind not in ATTACKS:
        near = nearest(kind, ATTACKS)
        hint = f"; did you mean {near}?" if near else ""
        raise ValueError(f"--byzantine: expected one of {names(ATTACKS)} after the colon, got {kind!r}{hint}")
    return Attackers(share=share, kind=kind)


def parse_partition(text: str) -> Partition:
    """Return "20s-40s:0.5" (or "20s-40s:0.3/0.3" for three groups) as a cut. Raises: ValueError naming the option."""
    wrong = (
        "--partition: expected FROM-TO:SHARE such as 20s-40s:0.5 (0.3/0.3: three groups), FROM before TO and shares"
        f" below 1 that come to 1 at most, got {text!r}"
    )
    times, colon, shares_text = text.partition(":")
    start, dash, end = times.partition("-")
    if not colon or not dash:
        raise ValueError(wrong)
    try:
        shares = tuple(float(share) for share in shares_text.split("/"))
        cut = Partition(
            start_s=parse_duration(start, "--partition"), end_s=parse_duration(end, "--partition"), shares=shares
        )
    except ValueError:
        raise ValueError(wrong) from None
    if not (cut.start_s < cut.end_s and all(0 < share < 1 for share in shares) and sum(shares) <= 1):
        raise ValueError(wrong)
    return cut


def command(scenario: Scenario) -> str:
    """Return the command line that replays a run, with the options that differ from their defaults."""
    options = [f"--peers {scenario.peers}", f"--rounds {scenario.rounds}"]
    plain = (
        ("loss", "--loss", _exact(scenario.loss)),
        ("latency_s", "--latency", duration(scenario.latency_s)),
        ("jitter", "--jitter", _exact(scenario.jitter)),
        ("churn", "--churn", _exact(scenario.churn)),
        ("agent", "--agent", scenario.agent),
        ("num_params", "--params", str(scenario.num_params)),
    )
    options += [
        f"{option} {text}" for name, option, text in plain if getattr(scenario, name) != getattr(_DEFAULTS, name)
    ]
    options += [f"--byzantine {_exact(group.share)}:{group.kind}" for group in scenario.byzantine]
    options += [f"--partition {partition(cut)}" for cut in scenario.partitions]
    return " ".join(["murmur simulate", *options, f"--seed {scenario.seed}", *map(shlex.quote, scenario.settings)])


def duration(seconds: Seconds) -> str:
    """Return text that `parse_duration` takes for exactly `seconds`."""
    short = f"{seconds * 1000:g}ms" if 0 < seconds < 1 else f"{seconds:g}s"
    return short if _DURATION.fullmatch(short) and parse_duration(short, "") == seconds else f"{_exact(seconds)}s"


def partition(cut: Partition) -> str:
    shares = "/".join(_exact(share) for share in cut.shares)
    return f"{duration(cut.start_s)}-{duration(cut.end_s)}:{shares}"


def ended(scenario: Scenario) -> Scenario:
    """Return the scenario with the rule that ends the run after its rounds."""
    return replace(scenario, rules=replace(scenario.rules, stop_rounds=scenario.rounds))


def _exact(value: float) -> str:
    """Return all digits that it takes to read `value` again, without an exponent."""
    return f"{Decimal(repr(value)).normalize():f}"
