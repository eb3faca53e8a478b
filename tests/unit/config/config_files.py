"""What the configuration tests share: a table of environments, and loading from text."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from peer.config.envs import EnvSpec, ParamRange
from peer.config.load import load_config
from peer.config.schema import Config
from peer.errors import ConfigError

_SPECS = {
    "CartPole-v1": EnvSpec(
        params={
            "length": ParamRange(default=0.5, low=0.01, high=10.0),
            "links": ParamRange(default=1, low=1, high=9, is_whole=True),
            "masspole": ParamRange(default=0.1, low=0.001, high=100.0),
        }
    ),
    "Pendulum-v1": EnvSpec(params={"g": ParamRange(default=10.0, low=0.1, high=100.0)}, max_envs=24),
}


class TwoEnvs:
    """Implements `EnvCatalogue`. A third one is known, and cannot be used."""

    names = tuple(_SPECS)

    def find(self, name: str, *, vectorized: bool) -> EnvSpec | None:
        if name == "broken:Env-v0":
            raise ValueError("it has no time limit")
        return _SPECS.get(name)


KNOWN_ENVS = TwoEnvs()

REPOSITORY = Path(__file__).parents[3]


def load(
    folder: Path, *texts: str | bytes, env: Mapping[str, str] | None = None, overrides: Sequence[str] = ()
) -> Config:
    """Load the texts as files a.yaml, b.yaml, ... laid over each other in that order."""
    paths = []
    for name, text in zip("abcdef", texts, strict=False):
        path = folder / f"{name}.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        paths.append(path)
    return load_config(paths, env or {}, overrides, known_envs=KNOWN_ENVS)


def refusal(
    folder: Path, *texts: str | bytes, env: Mapping[str, str] | None = None, overrides: Sequence[str] = ()
) -> str:
    """Return the message with which the configuration is refused, paths shortened to file names."""
    with pytest.raises(ConfigError) as caught:
        load(folder, *texts, env=env, overrides=overrides)
    return str(caught.value).replace(f"{folder}/", "")
