"""Which environments there are: the core's own by name, and whatever Gymnasium can make, by module and id."""

from collections.abc import Sequence

from peer.config.envs import EnvSpec, ParamRange
from peer.native import MAX_PYTHON_ENVS, env_names, env_spec
from peer.python_envs.names import is_python_env
from peer.python_envs.registration import register_env


class KnownEnvs:
    """Implements `peer.config.envs.EnvCatalogue`. To find an environment that is written in Python imports it."""

    @property
    def names(self) -> Sequence[str]:
        return env_names()

    def find(self, name: str, *, vectorized: bool = False) -> EnvSpec | None:
        if is_python_env(name):
            return EnvSpec(
                params={
                    each.name: ParamRange(default=each.default, low=each.low, high=each.high, is_whole=each.is_whole)
                    for each in register_env(name, vectorized=vectorized).parameters.values()
                },
                max_envs=MAX_PYTHON_ENVS,
            )
        if name not in env_names():
            return None
        return EnvSpec(
            params={
                each.name: ParamRange(default=each.default_value, low=each.low, high=each.high)
                for each in env_spec(name).params
            }
        )
