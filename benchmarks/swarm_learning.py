"""Show what more peers buy: env steps of each peer until the common model solves the task, for several swarm sizes.

    python benchmarks/swarm_learning.py --peers 1 2 4 8 --seeds 10                   # the demo's rounds
    python benchmarks/swarm_learning.py --peers 1 2 4 8 --seeds 10 --share-envs      # one update's work shared out
    python benchmarks/swarm_learning.py --peers 1 8 --share-envs --epochs 20         # more passes over each rollout
    python benchmarks/swarm_learning.py --peers 4 --against fedavg                   # and a central FedAvg beside it

Every peer is a real learner with its own seed, on the round protocol in virtual time (peer/simulation), without faults:
the figures depend on nothing but the seeds. The common model is evaluated after every round, 20 greedy episodes on the
same seeds. `--share-envs`: N peers have 1/N of the envs and of the minibatch each and synchronise after every update;
together they make the update of one peer with all of the envs.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.central_fedavg import env_steps_to_solve_centrally
from benchmarks.goals import GOALS
from benchmarks.machine import describe_machine
from peer.aggregation.registry import RULES
from peer.aggregation.rule import RuleOptions
from peer.aggregation.step import aggregator
from peer.aggregation.weights import WEIGHTS
from peer.native import AggregationKernels, PpoSettings
from peer.simulation.native import NativeSubject
from peer.simulation.scenario import Scenario
from peer.simulation.swarm import Swarm

_EPISODES, _EVAL_SEED = 20, 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """round_steps, max_steps: env steps of one peer, in a round and at most."""

    env: str
    peers: int
    settings: PpoSettings
    round_steps: int
    max_steps: int
    rule: str = "clipped-mean"
    weights: str = "capped"
    clip: float = 1.0


def env_steps_to_solve(setup: Setup, target: float) -> int | None:
    """Return the env steps of one peer until the common model reaches the target, None if it never did."""
    scenario = Scenario(
        peers=setup.peers,
        rounds=setup.max_steps // setup.round_steps,
        seed=setup.settings.seed,
        latency_s=0.005,
        speed_spread=0.0,
    )
    subject = NativeSubject(
        setup.env,
        setup.settings,
        env_steps_per_s=setup.round_steps / scenario.rules.train_s,
        episodes=_EPISODES,
        eval_seed=_EVAL_SEED,
    )
    aggregate = aggregator(
        setup.rule, RuleOptions(clip=setup.clip), weights=setup.weights, kernels=AggregationKernels()
    )
    swarm = Swarm(scenario, subject, aggregate)
    solved: list[int] = []

    def is_done() -> bool:
        newest = swarm.judge.newest
        if newest is not None and newest.greedy_return >= target:
            solved.append(newest.env_steps // setup.peers)
        return bool(solved) or (newest is not None and newest.number >= scenario.rounds)

    swarm.loop.run(until=scenario.patience_s, done=is_done)
    return solved[0] if solved else None


def shared(settings: PpoSettings, peers: int) -> PpoSettings:
    """Return the settings of one of `peers` that share the envs and the minibatches of one."""
    if settings.num_envs % peers or settings.minibatch_size % peers:
        raise ValueError(f"--share-envs: {settings.num_envs} envs cannot be shared by {peers} peers")
    return replace(settings, num_envs=settings.num_envs // peers, minibatch_size=settings.minibatch_size // peers)


def _setup(arguments: argparse.Namespace, peers: int, seed: int) -> Setup:
    settings = replace(GOALS[arguments.env].settings, seed=seed, device="cpu")
    settings = replace(settings, epochs=arguments.epochs or settings.epochs)
    settings = shared(settings, peers) if arguments.share_envs else settings
    update = settings.num_envs * settings.rollout_steps
    steps = update if arguments.share_envs else arguments.round_steps
    return Setup(
        env=arguments.env,
        peers=peers,
        settings=settings,
        round_steps=steps,
        max_steps=arguments.max_steps,
        rule=arguments.rule,
        weights=arguments.weights,
        clip=arguments.clip,
    )


def _report(label: str, results: list[int | None], *, alone: float | None) -> float | None:
    """Print one line; return the median, None when a seed was not solved."""
    solved = sorted(steps for steps in results if steps is not None)
    if not solved:
        print(f"{label}: never solved", flush=True)
        return None
    median = statistics.median(solved)
    speed_up = f", {alone / median:.2f} times as fast as the first" if alone else ""
    print(
        f"{label}: median {median:8,.0f} env steps a peer (mean {statistics.fmean(solved):,.0f}, min {solved[0]:,},"
        f" max {solved[-1]:,}), {len(solved)}/{len(results)} seeds solved{speed_up}",
        flush=True,
    )
    return median if len(solved) == len(results) else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="CartPole-v1", choices=sorted(GOALS))
    parser.add_argument("--peers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--rule", default="clipped-mean", choices=sorted(RULES))
    parser.add_argument("--clip", type=float, default=RuleOptions().clip, help="aggregation.clip")
    parser.add_argument("--weights", default="capped", choices=sorted(WEIGHTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--round-steps", type=int, default=2048, help="env steps of each peer in a round")
    parser.add_argument("--max-steps", type=int, default=200_000, help="give up after so many env steps a peer")
    parser.add_argument("--epochs", type=int, help="ppo.epochs; as in the preset where this is left out")
    parser.add_argument("--share-envs", action="store_true", help="share one update's envs out; synchronise after each")
    parser.add_argument("--against", choices=["fedavg"], help="run a central FedAvg on the same seeds too")
    arguments = parser.parse_args()

    print(f"{arguments.env}, {_rounds(arguments)}; {describe_machine()}", flush=True)
    target = GOALS[arguments.env].target
    alone: float | None = None
    solved_all = True
    for peers in arguments.peers:
        setups = [_setup(arguments, peers, seed) for seed in range(1, arguments.seeds + 1)]
        median = _report(f"{peers:3d} peers", [env_steps_to_solve(setup, target) for setup in setups], alone=alone)
        alone = alone or median
        solved_all = solved_all and median is not None
        if arguments.against:
            central = [
                env_steps_to_solve_centrally(
                    setup.env, setup.settings, clients=peers, round_steps=setup.round_steps,
                    max_steps=setup.max_steps, target=target,
                )
                for setup in setups
            ]  # fmt: skip
            _report(f"{peers:3d} clients of a central FedAvg", central, alone=None)
    return 0 if solved_all else 1


def _rounds(arguments: argparse.Namespace) -> str:
    epochs = f", {arguments.epochs} epochs" if arguments.epochs else ""
    if arguments.share_envs:
        return f"the envs of one update shared out, a round after every update{epochs}"
    return f"rounds of {arguments.round_steps} env steps a peer{epochs}"


if __name__ == "__main__":
    raise SystemExit(main())
