"""Show what a swarm costs by its size: bytes and CPU of one peer in one round, and how long a seal takes to be final.

    python benchmarks/simulation.py --peers 8 48 200 --rounds 10

CPU time includes the start, when everybody meets everybody. `steady` is that of the second half of the rounds alone.

The toy of `murmur simulate` with 5 % loss, 80 ms latency and 10 % churn a minute. Bytes are those of headers,
manifests, votes, anti-entropy and payloads of `--params` float32 parameters, as gossip passes them
on (docs/adr/0053). CPU is that of this process by peers and rounds: pure work that all peers repeat is
done once, so it is what a simulated peer costs, and less than what a real one does.
"""

import argparse
import math
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe_machine
from peer.simulation.result import Result
from peer.simulation.run import simulate
from peer.simulation.scenario import Scenario
from peer.simulation.swarm import Swarm


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=int, nargs="+", default=[8, 48, 200])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--params", type=int, default=64)
    parser.add_argument("--loss", type=float, default=0.05)
    parser.add_argument("--churn", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()

    print(f"{arguments.rounds} rounds of 2 s, {arguments.params} parameters; {describe_machine()}")
    print(
        "peers   bytes/peer/round   CPU ms/peer/round   steady   s/round   admitted   final: median     p99"
        "   divergent   forks   CPU s   wall s   MB"
    )
    sound = True
    for peers in arguments.peers:
        scenario = Scenario(
            peers=peers,
            rounds=arguments.rounds,
            loss=arguments.loss,
            churn=arguments.churn,
            latency_s=0.08,
            num_params=arguments.params,
            seed=arguments.seed,
        )
        clock = HalfTime(arguments.rounds)
        started_s = time.monotonic()
        result = simulate(scenario, progress=clock.look)
        cpu_s, wall_s = time.process_time() - clock.began, time.monotonic() - started_s
        sound = sound and result.is_sound
        remark = "" if result.is_sound else "   NOT SOUND"
        print(
            f"{peers:5,d}   {result.bytes_per_peer_per_round:16,d}   {1e3 * cpu_s / peers / arguments.rounds:17.2f}"
            f"   {1e3 * clock.steady_s / peers:6.2f}   {_pace(result):7.2f}"
            f"   {result.admitted_mean:8.1f}   {result.finality_median_s:11.2f} s  {result.finality_p99_s:5.2f} s"
            f"   {result.divergent_rounds:9d}   {result.forks:5d}   {cpu_s:5.1f}   {wall_s:6.1f}"
            f"   {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}{remark}",
            flush=True,
        )
        for failure in result.failures:
            print(f"        {failure}", flush=True)
    return 0 if sound else 1


class HalfTime:
    """CPU time of the second half of a run's rounds. Looks once a virtual second."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._seen: list[tuple[int, float]] = []
        self.began = time.process_time()

    def look(self, swarm: Swarm) -> None:
        newest = swarm.judge.newest
        number = 0 if newest is None else newest.number
        if self._rounds // 2 <= number and (not self._seen or number > self._seen[-1][0]):
            self._seen.append((number, time.process_time()))

    @property
    def steady_s(self) -> float:
        """Return the CPU time of a round; NaN when the run was too short to tell."""
        if len(self._seen) < 2:
            return math.nan
        (first, began), (last, ended) = self._seen[0], self._seen[-1]
        return (ended - began) / (last - first)


def _pace(result: Result) -> float:
    """Return the seconds of virtual time between seals, from the third round on; NaN for shorter runs."""
    times = [sealed.first_s for sealed in result.chain[2:]]
    return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else math.nan


if __name__ == "__main__":
    raise SystemExit(main())
