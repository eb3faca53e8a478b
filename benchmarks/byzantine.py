"""Show what liars do to learning: the return that a swarm with liars reaches, beside the same swarm without them.

    python benchmarks/byzantine.py --env CartPole-v1 --rounds 20 --seeds 5
    python benchmarks/byzantine.py --env Pendulum-v1 --kinds sign_flip noise --rules mean clipped-mean

13 peers of which 3 lie, the set-up of DecByzPG (Jordan et al. 2024, arXiv 2401.03489). Real learners on the round
protocol in virtual time (peer/simulation), no other faults. The return is the mean over the last quarter of the rounds,
of 20 greedy episodes each: what somebody who stops there gets. "kept": against the unattacked run of the same rule.
"""

import argparse
import statistics
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import GOALS
from benchmarks.machine import describe_machine
from peer.aggregation.registry import RULES
from peer.aggregation.step import aggregator
from peer.native import AggregationKernels
from peer.simulation.native import NativeSubject
from peer.simulation.run import simulate
from peer.simulation.scenario import Attackers, Scenario

_PEERS, _LIARS = 13, 3


def final_return(env: str, *, rule: str, kind: str | None, seed: int, rounds: int, round_steps: int) -> float:
    """Return the mean greedy return of the common model over the last quarter of the rounds."""
    scenario = Scenario(
        peers=_PEERS,
        rounds=rounds,
        seed=seed,
        latency_s=0.005,
        speed_spread=0.0,
        byzantine=() if kind is None else (Attackers(share=_LIARS / _PEERS, kind=kind),),
    )
    settings = replace(GOALS[env].settings, seed=seed, device="cpu")
    subject = NativeSubject(env, settings, env_steps_per_s=round_steps / scenario.rules.train_s)
    result = simulate(scenario, subject=subject, aggregate=aggregator(rule, kernels=AggregationKernels()))
    if not result.is_sound:
        raise SystemExit(f"the run was not sound:\n{result.text()}")
    tail = result.chain[-max(1, rounds // 4) :]
    return statistics.fmean(sealed.greedy_return for sealed in tail)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="CartPole-v1", choices=sorted(GOALS))
    parser.add_argument("--kinds", nargs="+", default=["sign_flip", "noise", "random_policy"])
    parser.add_argument("--rules", nargs="+", default=sorted(RULES), choices=sorted(RULES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--round-steps", type=int, default=2048)
    arguments = parser.parse_args()

    print(
        f"{arguments.env}, {_PEERS} peers, {_LIARS} of them lie, {arguments.rounds} rounds of"
        f" {arguments.round_steps} env steps, {arguments.seeds} seeds; {describe_machine()}"
    )
    print(f"{'rule':22s} {'attack':14s} {'return':>9s} {'worst':>9s}   kept")
    for rule in arguments.rules:
        honest: float | None = None
        for kind in [None, *arguments.kinds]:
            returns = [
                final_return(
                    arguments.env, rule=rule, kind=kind, seed=seed,
                    rounds=arguments.rounds, round_steps=arguments.round_steps,
                )
                for seed in range(1, arguments.seeds + 1)
            ]  # fmt: skip
            mean = statistics.fmean(returns)
            honest = mean if honest is None else honest
            kept = f"{1 - (honest - mean) / abs(honest):5.1%}"
            print(f"{rule:22s} {kind or 'none':14s} {mean:9.1f} {min(returns):9.1f}   {kept}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
