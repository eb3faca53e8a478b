"""PufferLib 3's trainer on its CartPole in C, in eager mode, with Adam; its dashboard is left out."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd()))  # its unpacked and built sources

import pufferlib.vector
import torch
from pufferlib.ocean.cartpole.cartpole import Cartpole
from pufferlib.pufferl import PuffeRL
from torch import nn

from benchmarks.rivals.ppo_networks import critic_and_actor
from benchmarks.rivals.stretch import Options, read_options, run_iterations


class Policy(nn.Module):
    """PufferLib's interface to the network that all rivals have."""

    def __init__(self, *, obs_dim: int, num_actions: int) -> None:
        super().__init__()
        self.critic, self.actor = critic_and_actor(obs_dim, num_actions)

    def forward(self, observations: torch.Tensor, state: object = None) -> tuple[torch.Tensor, torch.Tensor]:
        del state  # of recurrent networks
        return self.actor(observations), self.critic(observations)

    forward_eval = forward


class Trainer(PuffeRL):
    def print_dashboard(self, *args: object, **kwargs: object) -> None:
        """Print nothing: only training is measured."""


def config(options: Options) -> dict[str, object]:
    setting = options.setting
    return {
        "env": options.env,
        "seed": 1,
        "torch_deterministic": True,
        "cpu_offload": False,
        "device": "cpu",
        "optimizer": "adam",
        "anneal_lr": False,
        "precision": "float32",
        "total_timesteps": 10**10,
        "learning_rate": 2.5e-4,
        "gamma": 0.99,
        "gae_lambda": 0.95,
        "update_epochs": setting.epochs,
        "clip_coef": 0.2,
        "vf_coef": 0.5,
        "vf_clip_coef": 0.2,
        "max_grad_norm": 0.5,
        "ent_coef": 0.0,
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_eps": 1e-5,
        "data_dir": "experiments",
        "checkpoint_interval": 10**9,
        "batch_size": setting.batch_size,
        "minibatch_size": setting.minibatch_size,
        "max_minibatch_size": setting.minibatch_size,
        "bptt_horizon": setting.rollout_steps,
        "compile": False,
        "vtrace_rho_clip": 1.0,
        "vtrace_c_clip": 1.0,
        "prio_alpha": 0.0,
        "prio_beta0": 1.0,
        "use_rnn": False,
    }


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    envs = pufferlib.vector.make(
        Cartpole, env_kwargs={"num_envs": options.setting.num_envs}, backend=pufferlib.vector.PufferEnv
    )
    trainer = Trainer(config(options), envs, Policy(obs_dim=4, num_actions=2))

    def iterate() -> int:
        trainer.evaluate()
        trainer.train()
        return options.setting.batch_size

    run_iterations(iterate)
    trainer.utilization.stop()


if __name__ == "__main__":
    main(read_options())
