"""The settings that a configuration takes on a command line, read again, are that configuration."""

from pathlib import Path

import pytest

from peer.config.load import load_config
from peer.config.overrides import differing
from peer.config.schema import Config

PRESETS = sorted(Path("configs").glob("*.yaml"))
SETTINGS = (
    "ppo.learning_rate=0.00001", "run.name=yes-1", "model.hidden=[3,5]", "stop.mean_return=null", "round.train_s=20",
    "env.variants={heavy: {params: {length: 0.75}}}", "aggregation.rule=median", "network.listen_host=::1",
    "compute.threads=2", "storage.data_dir=a folder/ünder", "log.format=json", "round.codec=int8+zstd",
    "network.dns=[peer, other]", "ppo.normalize_rewards=true",
)  # fmt: skip


@pytest.mark.parametrize("setting", SETTINGS)
def test_setting_is_said_so_that_it_is_read_again(setting: str) -> None:
    config = load_config([], {}, [setting])
    (said,) = differing(config, bases=[Config()])
    assert said.partition("=")[0] == setting.partition("=")[0]
    assert load_config([], {}, [said]) == config


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_preset_is_said_whole(preset: Path) -> None:
    config = load_config([preset], {}, [])
    assert load_config([], {}, differing(config, bases=[Config()])) == config


def test_default_is_said_where_another_base_differs() -> None:
    other = load_config([], {}, ["round.train_s=5"])
    (said,) = differing(Config(), bases=[Config(), other])
    assert load_config([], {"MURMUR_ROUND__TRAIN_S": "5"}, [said]) == Config()
