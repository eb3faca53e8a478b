"""Measure PPO end to end, rollouts and updates together: env steps a second of one learner.

    python benchmarks/ppo_speed.py                            # CartPole-v1, classic setting, 1 thread
    python benchmarks/ppo_speed.py --setting throughput --env Pendulum-v1 --json

classic: 8 envs x 128 steps, 4 epochs, minibatch 256. throughput: 1024 envs x 64 steps, 2 epochs, minibatch 16384.
Both: separate actor and critic of 2 x 64 tanh, Adam, advantage normalisation, clipped value loss, gradient clip 0.5.
"""

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import describe_machine
from peer.native import PpoSettings, env_names, make_ppo_agent

SETTINGS = {
    "classic": PpoSettings(num_envs=8, rollout_steps=128, epochs=4, minibatch_size=256),
    "throughput": PpoSettings(num_envs=1024, rollout_steps=64, epochs=2, minibatch_size=16384),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Env steps a second of each stretch: by the clock, and by CPU time, which a busy machine disturbs less."""

    wall: list[float]
    cpu: list[float]


def measure(env_name: str, settings: PpoSettings, *, repeats: int, seconds: float) -> Rates:
    """Train `repeats` stretches, after a warm-up that is not counted."""
    agent = make_ppo_agent(env_name, settings)
    agent.train(1, 1.0)
    rates = Rates(wall=[], cpu=[])
    for _ in range(repeats):
        cpu_start = time.process_time()
        stats = agent.train(2**62, seconds)
        rates.wall.append(stats.env_steps / stats.wall_s)
        rates.cpu.append(stats.env_steps / (time.process_time() - cpu_start))
    return rates


def spread(rates: list[float]) -> dict[str, float]:
    return {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", choices=env_names(), default="CartPole-v1")
    parser.add_argument("--setting", choices=sorted(SETTINGS), default="classic")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--backend", choices=("auto", "libtorch", "fused"), default="auto")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="length of each stretch")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    settings = replace(SETTINGS[args.setting], threads=args.threads, device=args.device, backend=args.backend)
    rates = measure(args.env, settings, repeats=args.repeats, seconds=args.seconds)
    result = {
        "env": args.env,
        "setting": args.setting,
        "threads": args.threads,
        "device": args.device,
        "backend": make_ppo_agent(args.env, settings).backend_name,
        "env_steps_per_s": spread(rates.wall),
        "env_steps_per_cpu_s": spread(rates.cpu),
        "repeats": args.repeats,
        "machine": describe_machine(),
    }
    if args.json:
        print(json.dumps(result))
        return
    print(f"{args.env}, {args.setting}, {result['backend']}, {args.threads} thread(s); {result['machine']}")
    for unit, values in (("s", rates.wall), ("CPU s", rates.cpu)):
        print(
            f"{statistics.median(values):,.0f} env steps/{unit}"
            f" (median of {args.repeats}; {min(values):,.0f} to {max(values):,.0f})"
        )


if __name__ == "__main__":
    main()
