"""Show what more peers buy: env steps of each peer until the common model solves CartPole-v1, for several swarm sizes.

    python benchmarks/swarm_learning.py --peers 1 2 4 --seeds 5

Every peer is a real learner with its own seed; each round all train the same number of env steps from the common model
and the deltas are averaged by the aggregation of the protocol. No network and no clock: the figures depend on nothing
but the seeds. The common model is evaluated after every round (20 greedy episodes on fixed seeds).
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataclasses import replace

from benchmarks.learning import GOALS
from benchmarks.machine import describe_machine
from peer.aggregation.rule import Contribution
from peer.aggregation.step import aggregator
from peer.native import PpoAgent, make_ppo_agent, to_moments
from peer.types import ModelDelta, ModelState

_EPISODES, _EVAL_SEED = 20, 1_000_000_000


def env_steps_to_solve(env: str, *, peers: int, seed: int, round_steps: int, max_steps: int) -> int | None:
    """Return the env steps of one peer until the common model reaches the target, None if it never did."""
    goal = GOALS[env]
    agents = [
        make_ppo_agent(env, replace(goal.settings, seed=seed, local_seed=1000 * seed + number, device="cpu"))
        for number in range(peers)
    ]
    state = _state(agents[0])
    step = aggregator("mean")
    done = 0
    while done < max_steps:
        contributions = [_train(agent, state, round_steps) for agent in agents]
        state = step(state, contributions)
        done += max(contribution.weight for contribution in contributions)
        _load(agents[0], state)
        if agents[0].evaluate(_EPISODES, _EVAL_SEED) >= goal.target:
            return done
    return None


def _train(agent: PpoAgent, base: ModelState, round_steps: int) -> Contribution:
    _load(agent, base)
    steps = agent.train(round_steps, 1e9).env_steps
    delta = ModelDelta(params=agent.get_params() - base.params, moments=to_moments(agent.new_moments()))
    return Contribution(weight=steps, delta=delta)


def _load(agent: PpoAgent, state: ModelState) -> None:
    agent.set_model(state.params, state.moments.count, state.moments.mean, state.moments.m2)


def _state(agent: PpoAgent) -> ModelState:
    return ModelState(params=agent.get_params(), moments=to_moments(agent.moments()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="CartPole-v1", choices=sorted(GOALS))
    parser.add_argument("--peers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--round-steps", type=int, default=2048, help="env steps of each peer in a round")
    parser.add_argument("--max-steps", type=int, default=200_000, help="give up after so many env steps a peer")
    arguments = parser.parse_args()

    print(f"{arguments.env}, rounds of {arguments.round_steps} env steps a peer; {describe_machine()}")
    solved_all = True
    alone: float | None = None
    for peers in arguments.peers:
        results = [
            env_steps_to_solve(
                arguments.env,
                peers=peers,
                seed=seed,
                round_steps=arguments.round_steps,
                max_steps=arguments.max_steps,
            )
            for seed in range(1, arguments.seeds + 1)
        ]
        solved = sorted(steps for steps in results if steps is not None)
        solved_all = solved_all and len(solved) == len(results)
        if not solved:
            print(f"{peers:3d} peers: never solved")
            continue
        median = statistics.median(solved)
        alone = alone or median
        print(
            f"{peers:3d} peers: median {median:8,.0f} env steps a peer (min {solved[0]:,}, max {solved[-1]:,}),"
            f" {len(solved)}/{len(results)} seeds solved, {alone / median:.2f} times as fast as the first"
        )
    return 0 if solved_all else 1


if __name__ == "__main__":
    raise SystemExit(main())
