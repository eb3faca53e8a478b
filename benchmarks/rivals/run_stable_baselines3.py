"""Stable-Baselines3's PPO on its DummyVecEnv, which is faster than its SubprocVecEnv for envs this small."""

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from benchmarks.rivals.stretch import Options, Stretches, read_options


class Timer(BaseCallback):
    """Sees each iteration begin, and ends training when no more stretches are wanted."""

    def __init__(self, *, batch_size: int) -> None:
        super().__init__()
        self._stretches = Stretches()
        self._batch_size = batch_size
        self._iterations = 0
        self._over = False

    def _on_rollout_start(self) -> None:
        if self._iterations > 0:
            self._over = self._stretches.iteration_done(self._batch_size)
        self._iterations += 1

    def _on_step(self) -> bool:
        return not self._over


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    setting = options.setting
    model = PPO(
        "MlpPolicy",
        make_vec_env(options.env, n_envs=setting.num_envs, seed=1),
        learning_rate=2.5e-4,
        n_steps=setting.rollout_steps,
        batch_size=setting.minibatch_size,
        n_epochs=setting.epochs,
        gamma=0.99,
        gae_lambda=0.95,
        clip_range=0.2,
        clip_range_vf=0.2,
        ent_coef=0.0,
        vf_coef=0.25,  # of the squared error: half of it at 0.5, as the others have it
        max_grad_norm=0.5,
        policy_kwargs={"net_arch": {"pi": [64, 64], "vf": [64, 64]}},
        seed=1,
        device="cpu",
    )
    model.learn(10**9, callback=Timer(batch_size=setting.batch_size))


if __name__ == "__main__":
    main(read_options())
