"""What to simulate: every number that a run depends on. Equal scenarios give equal runs, to the last byte of output."""

from dataclasses import dataclass, field

from peer.rounds.rules import RoundRules
from peer.types import Seconds

MAX_PEERS = 20_000
MAX_SEED = 2**63
MAX_ATTACKER_SHARE = 0.9
MAX_LATENCY_S: Seconds = 4.0
"""An answer takes two hops, and a peer that gives none is given up after 8 s (peer/membership/timing.py): the simulator
has no failure detection, and would take for connected who could not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attackers:
    """The dishonest part of a simulated swarm.

    share: part of the peers, 0 to 0.9, that lie in the way `kind` names (attacks/registry.py).
    """

    share: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """From `start_s` to `end_s` the peers are cut into groups that cannot reach each other.

    shares: part of the peers in each group but the last, which takes the rest.
    """

    start_s: Seconds
    end_s: Seconds
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One simulation to run.

    loss: probability that one message does not reach one peer. latency_s: median delay of one hop.

    jitter: sigma of the lognormal delay; 0.4 puts the 99th percentile at 2.5 times the median. churn: crashes
    of a peer in a minute of virtual time, on average; each is back after 5 to 30 s, half of them with an empty disk.
    speed_spread: peers train for train_s times a factor drawn from 1 - spread to 1 + spread. num_params: of the toy.
    settings: the configuration's values other than the defaults, for the line that replays the run.
    """

    peers: int = 8
    rounds: int = 20
    seed: int = 1
    loss: float = 0.0
    latency_s: Seconds = 0.02
    jitter: float = 0.4
    churn: float = 0.0
    byzantine: tuple[Attackers, ...] = ()
    partitions: tuple[Partition, ...] = ()
    speed_spread: float = 0.1
    rules: RoundRules = field(default_factory=RoundRules)
    anti_entropy_s: Seconds = 2.0
    agent: str = "toy"
    num_params: int = 64
    settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises: ValueError naming the option, what it takes, and an example."""
        for complaint in _complaints(self):
            raise ValueError(complaint)

    @property
    def attackers(self) -> tuple[tuple[int, str], ...]:
        """Return (peer number, kind) of all that lie: the highest numbers."""
        found: list[tuple[int, str]] = []
        for group in self.byzantine:
            count = round(group.share * self.peers)
            found += [(self.peers - 1 - len(found) - i, group.kind) for i in range(count)]
        return tuple(found)

    @property
    def patience_s(self) -> Seconds:
        """Return the virtual time after which a run that has not come to its last round is stalled."""
        slowest = self.rules.train_s * (1 + self.speed_spread) + 4 * self.rules.grace_s
        healed = max((cut.end_s for cut in self.partitions), default=0.0)
        return healed + self.rounds * slowest + 60.0


def _complaints(scenario: Scenario) -> list[str]:
    share = sum(group.share for group in scenario.byzantine)
    nobody = [group for group in scenario.byzantine if group.share > 0 and not round(group.share * scenario.peers)]
    checks = (
        (1 <= scenario.peers <= MAX_PEERS, f"--peers: expected 1 to {MAX_PEERS}, got {scenario.peers}"),
        (0 <= scenario.seed < MAX_SEED, f"--seed: expected 0 to 2^63 - 1, got {scenario.seed}"),
        (scenario.rounds >= 1, f"--rounds: expected at least 1, got {scenario.rounds}"),
        (0 <= scenario.loss <= 0.9, f"--loss: expected 0 to 0.9, such as 0.05, got {scenario.loss:g}"),
        (
            0 <= scenario.latency_s <= MAX_LATENCY_S,
            f"--latency: expected 0 to {MAX_LATENCY_S:g} s, such as 80ms, got {scenario.latency_s:g}s (beyond it peers"
            " give each other up before an answer can come, and are not connected)",
        ),
        (0 <= scenario.jitter <= 3, f"--jitter: expected 0 to 3, such as 0.4, got {scenario.jitter:g}"),
        (0 <= scenario.churn <= 2, f"--churn: expected 0 to 2 (a minute), such as 0.1, got {scenario.churn:g}"),
        (
            share <= MAX_ATTACKER_SHARE,
            f"--byzantine: expected at most {MAX_ATTACKER_SHARE:.0%} liars in all, got {share:.0%}",
        ),
        (
            not nobody,
            "--byzantine: expected shares that come to a peer at least, got "
            + ", ".join(f"{group.share:g}:{group.kind} of {scenario.peers} peers" for group in nobody),
        ),
        (
            len(scenario.attackers) < scenario.peers,
            "--byzantine: expected to leave an honest peer, got"
            f" {len(scenario.attackers)} liars of {scenario.peers} peers",
        ),
        (1 <= scenario.num_params <= 1 << 24, f"--params: expected 1 to 2^24, got {scenario.num_params}"),
    )
    return [complaint for is_good, complaint in checks if not is_good]
