"""Show what codecs cost in learning: a swarm of 4 with each codec, on the same seeds.

    python benchmarks/codec_learning.py --seeds 10
    python benchmarks/codec_learning.py --hidden 512 512 512 --seeds 3 --codecs float32 int4+zstd
    python benchmarks/codec_learning.py --codecs topk-int8 --start-without-remainder
    python benchmarks/codec_learning.py --codecs topk-int8 --drop-remainder

Every peer is a real learner with its own seed; each round all train the same number of env steps from the common model
plus what the codec left out of their last delta, encode that and what they learned, and keep what is left out now. No
network and no clock: the figures depend on nothing but the seeds. `solved`: env steps of one peer until the common
model first reaches the target. `final`: 100 greedy episodes of the last model. `path`: mean return over all rounds,
which shows slower learning.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.goals import GOALS
from benchmarks.machine import describe_machine
from peer.aggregation.step import aggregator
from peer.codec.codec import Codec
from peer.codec.registry import make_codecs
from peer.native import NativeCodecKernels, PpoAgent, make_ppo_agent, to_moments
from peer.types import Contribution, Digest, ModelDelta, ModelSchema, ModelState, Params

_ROUND_EPISODES, _FINAL_EPISODES, _EVAL_SEED = 20, 100, 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """starts: whether local training starts from the common model plus the own remainder. drops: no error feedback."""

    starts: bool
    drops: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One seed. solved: env steps of one peer, None if never. payload_bytes: mean of a peer and round."""

    solved: int | None
    final: float
    path: float
    payload_bytes: float


class Learner:
    """One peer of the swarm, with what its codec has left out so far."""

    def __init__(self, agent: PpoAgent, codec: Codec, feedback: Feedback) -> None:
        self.agent = agent
        self._codec = codec
        self._feedback = feedback
        self._remainder: Params = np.zeros(agent.num_params, np.float32)
        self._schema = ModelSchema(num_params=agent.num_params, num_moments=agent.num_moments, digest=Digest(bytes(32)))
        self.payload_bytes: list[int] = []

    def train(self, base: ModelState, round_steps: int) -> Contribution:
        start = base.params + self._remainder if self._feedback.starts else base.params
        load(self.agent, ModelState(params=start, moments=base.moments))
        steps = self.agent.train(round_steps, 1e9).env_steps
        total = self.agent.get_params() - start + self._remainder
        data = self._codec.encode(ModelDelta(params=total, moments=to_moments(self.agent.new_moments())))
        self.payload_bytes.append(len(data))
        sent = self._codec.decode(data, self._schema)
        if not self._feedback.drops:
            self._remainder = total - sent.params
        return Contribution(weight=steps, delta=sent)


def load(agent: PpoAgent, state: ModelState) -> None:
    agent.set_model(state.params, state.moments.count, state.moments.mean, state.moments.m2)


def run(env: str, codec: Codec, *, seed: int, feedback: Feedback, arguments: argparse.Namespace) -> Outcome:
    """Train one swarm for the whole budget."""
    goal = GOALS[env]
    shape = replace(goal.settings, hidden=tuple(arguments.hidden or goal.settings.hidden), seed=seed, device="cpu")
    learners = [
        Learner(make_ppo_agent(env, replace(shape, local_seed=1000 * seed + number)), codec, feedback)
        for number in range(arguments.peers)
    ]
    judge = learners[0].agent
    state = ModelState(params=judge.get_params(), moments=to_moments(judge.moments()))
    step = aggregator("mean")
    returns: list[float] = []
    solved: int | None = None
    for number in range(1, arguments.rounds + 1):
        state = step(state, [learner.train(state, arguments.round_steps) for learner in learners])
        load(judge, state)
        returns.append(judge.evaluate(_ROUND_EPISODES, _EVAL_SEED))
        if solved is None and returns[-1] >= goal.target:
            solved = number * arguments.round_steps
    sizes = [size for learner in learners for size in learner.payload_bytes]
    return Outcome(
        solved=solved,
        final=judge.evaluate(_FINAL_EPISODES, _EVAL_SEED),
        path=statistics.fmean(returns),
        payload_bytes=statistics.fmean(sizes),
    )


def report(name: str, outcomes: list[Outcome], raw: float) -> None:
    solved = sorted(outcome.solved for outcome in outcomes if outcome.solved is not None)
    middle = f"{statistics.median(solved):7,.0f}" if solved else "  never"
    finals = [outcome.final for outcome in outcomes]
    size = statistics.fmean(outcome.payload_bytes for outcome in outcomes)
    print(
        f"  {name:16s} {size:9,.0f} bytes ({raw / size:5.2f}x)  solved {len(solved)}/{len(outcomes)}, median {middle}"
        f"  final mean {statistics.fmean(finals):8.2f} (min {min(finals):8.2f}, sd {statistics.pstdev(finals):6.2f})"
        f"  path {statistics.fmean(outcome.path for outcome in outcomes):8.2f}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", default="CartPole-v1", choices=sorted(GOALS))
    parser.add_argument("--codecs", nargs="+", default=["float32", "float16", "int8", "int4+zstd", "topk-int8+zstd"])
    parser.add_argument("--fraction", type=float, default=0.1, help="part of the coordinates that top-k keeps")
    parser.add_argument("--hidden", type=int, nargs="+", help="units of each hidden layer (default: the environment's)")
    parser.add_argument("--peers", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--round-steps", type=int, default=2048, help="env steps of each peer in a round")
    parser.add_argument("--start-without-remainder", action="store_true", help="train from the common model alone")
    parser.add_argument("--drop-remainder", action="store_true", help="forget what codecs leave out")
    arguments = parser.parse_args()

    feedback = Feedback(starts=not arguments.start_without_remainder, drops=arguments.drop_remainder)
    codecs = make_codecs(NativeCodecKernels(), top_k_fraction=arguments.fraction)
    print(
        f"{arguments.env}, {arguments.peers} peers, {arguments.seeds} seeds, {arguments.rounds} rounds of"
        f" {arguments.round_steps} env steps a peer, top-k {arguments.fraction:g},"
        f" local training starts from the model{' plus the remainder' if feedback.starts else ''},"
        f" remainder {'dropped' if feedback.drops else 'fed back'}; {describe_machine()}"
    )
    raw = 0.0
    for name in arguments.codecs:
        outcomes = [
            run(arguments.env, codecs[name], seed=seed, feedback=feedback, arguments=arguments)
            for seed in range(1, arguments.seeds + 1)
        ]
        raw = raw or outcomes[0].payload_bytes
        report(name, outcomes, raw)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
