"""Show what a swarm costs by its size: bytes and CPU of one peer in one round, and how long a seal takes to be final.

    python benchmarks/simulation.py --peers 8 48 200 --rounds 10

The toy of `murmur simulate` with 5 % loss, 80 ms latency and 10 % churn a minute. Bytes are those of headers,
manifests, votes, anti-entropy and payloads of `--params` float32 parameters, as gossip passes them
on (docs/adr/0053). CPU is that of this process by peers and rounds: pure work that all peers repeat is
done once, so it is what a simulated peer costs, and less than what a real one does.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe_machine
from peer.simulation.run import simulate
from peer.simulation.scenario import Scenario


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
    print("peers   bytes/peer/round   CPU ms/peer/round   admitted   final: median     p99   divergent   forks   CPU s")
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
        started = time.process_time()
        result = simulate(scenario)
        cpu_s = time.process_time() - started
        sound = sound and result.is_sound
        remark = "" if result.is_sound else "   NOT SOUND"
        print(
            f"{peers:5,d}   {result.bytes_per_peer_per_round:16,d}   {1e3 * cpu_s / peers / arguments.rounds:17.2f}"
            f"   {result.admitted_mean:8.1f}   {result.finality_median_s:11.2f} s  {result.finality_p99_s:5.2f} s"
            f"   {result.divergent_rounds:9d}   {result.forks:5d}   {cpu_s:5.1f}{remark}",
            flush=True,
        )
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
