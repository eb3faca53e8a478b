"""Measure PPO end to end, rollouts and updates together: the same as `murmur bench train`, from a checkout.

python benchmarks/ppo_speed.py                            # CartPole-v1, classic setting, 1 thread
python benchmarks/ppo_speed.py --setting throughput --threads 2 --env Pendulum-v1 --json
python benchmarks/ppo_speed.py --backend libtorch
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from peer.commands.table import app

if __name__ == "__main__":
    app(["bench", "train", *sys.argv[1:]])
