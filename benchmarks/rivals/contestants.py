"""Who is measured, and on what."""

from dataclasses import dataclass

OURS = "Murmuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What all contestants do at the same settings."""

    env: str
    setting: str
    threads: int

    @property
    def title(self) -> str:
        return f"{self.env}, {self.setting}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """requirements: name of its environment; empty: ours. program: in this folder. arguments: more for it.

    envs: those that it can train on. module: of environments in Python; empty: the core's own.
    """

    name: str
    requirements: str = ""
    program: str = ""
    arguments: tuple[str, ...] = ()
    envs: tuple[str, ...] = ("CartPole-v1", "Pendulum-v1")
    module: str = ""

    def env_of(self, scenario: Scenario) -> str:
        """Return the environment as it names it."""
        return f"{self.module}:{scenario.env}" if self.module else scenario.env


CONTESTANTS = (
    Contestant(name=OURS),
    Contestant(name="Murmuration, libtorch back end", arguments=("--backend", "libtorch")),
    Contestant(name="Murmuration, Gymnasium's env in Python", module="gymnasium"),
    Contestant(name="Stable-Baselines3 2.9", requirements="stable-baselines3", program="run_stable_baselines3.py"),
    Contestant(
        name="CleanRL loop, Gymnasium 1.4",
        requirements="gymnasium",
        program="run_ppo_loop.py",
        arguments=("--variant", "gymnasium"),
    ),
    Contestant(
        name="CleanRL loop, Gymnasium's vectorised env",
        requirements="gymnasium",
        program="run_ppo_loop.py",
        arguments=("--variant", "gymnasium-vector"),
        envs=("CartPole-v1",),
    ),
    Contestant(
        name="CleanRL loop, EnvPool 1.2.5",
        requirements="envpool",
        program="run_ppo_loop.py",
        arguments=("--variant", "envpool"),
    ),
    Contestant(
        name="PufferLib 3.0 (CartPole in C)",
        requirements="pufferlib",
        program="run_pufferlib.py",
        envs=("CartPole-v1",),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Env steps a second of one stretch, by the clock and by CPU time."""

    wall: float
    cpu: float
