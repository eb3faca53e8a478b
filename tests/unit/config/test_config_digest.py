"""The digest that the handshake compares: sensitive to what must be equal, and to nothing else."""

from typing import Any

import pytest

from peer.config.digest import AGREED_KEYS, agreed_text, digest, run_id
from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.sources import dotted_keys

OTHER_VALUES = {
    "run.name": "other", "run.seed": "2", "env.name": "Pendulum-v1", "env.variants": "{b: {}}",
    "model.hidden": "[32]", "model.activation": "relu", "ppo.gamma": "0.5", "ppo.normalize_observations": "true",
    "ppo.normalize_rewards": "true", "ppo.learning_rate": "1e-4", "ppo.num_envs": "16", "ppo.rollout_steps": "64",
    "ppo.epochs": "2", "ppo.minibatch_size": "128", "ppo.gae_lambda": "0.5", "ppo.clip_range": "0.1",
    "ppo.value_clip_range": "0.1", "ppo.entropy_coef": "0.1", "ppo.value_coef": "0.1", "ppo.max_grad_norm": "1",
    "ppo.lr_schedule": "linear", "ppo.schedule_env_steps": "5", "ppo.target_kl": "1",
    "ppo.normalize_advantages": "false", "ppo.adam_beta1": "0.1", "ppo.adam_beta2": "0.1", "ppo.adam_epsilon": "0.1",
    "compute.device": "cpu", "compute.threads": "1", "round.train_s": "1", "round.grace_s": "1",
    "round.backup_gap_s": "1", "round.miss_limit": "5", "round.staleness_limit": "5", "round.anti_entropy_s": "1",
    "round.snapshot_every": "5", "round.eval_every": "5", "network.listen_host": "127.0.0.1", "network.port": "1",
    "network.dns": "[a]", "network.addresses": "[/ip4/192.0.2.7/tcp/4001]", "network.redial_min_s": "1",
    "network.redial_max_s": "1", "network.rediscover_s": "1", "network.max_connections": "1",
    "storage.data_dir": "x", "storage.max_journal_bytes": "1048576", "storage.keep_snapshots": "5",
    "stop.mean_return": "null", "stop.episodes": "5", "stop.seed": "5", "stop.max_rounds": "5", "stop.linger_s": "5",
    "log.format": "json", "log.level": "debug", "log.waiting_every_s": "1",
}  # fmt: skip


def test_table_of_this_test_is_complete() -> None:
    assert set(OTHER_VALUES) == set(dotted_keys())


@pytest.mark.parametrize("key", sorted(OTHER_VALUES))
def test_digest_changes_exactly_with_the_agreed_keys(key: str) -> None:
    changed = load_config([], {}, [f"{key}={OTHER_VALUES[key]}"])
    assert changed != Config()
    section, _, name = key.partition(".")
    assert (digest(changed) != digest(Config())) == (name in AGREED_KEYS.get(section, ()))


def test_digest_does_not_depend_on_how_a_number_or_the_order_was_written() -> None:
    texts = [
        "env.variants={a: {params: {length: 1, g: 2}}, b: {}}",
        "env.variants={b: {}, a: {params: {g: 2.0, length: 1.0}}}",
    ]
    first, second = (load_config([], {}, [text, "stop.mean_return=475"]) for text in texts)
    assert digest(first) == digest(second)


def test_digest_has_not_changed_unawares() -> None:
    """Golden: another value means that peers of this version refuse those of the last one."""
    fixed: dict[str, Any] = {
        "run": {"name": "golden", "seed": 3},
        "env": {"name": "CartPole-v1", "variants": {"a": {"params": {"length": 0.1}, "seeds": (1, 2)}}},
        "stop": {"mean_return": 1e-7},
    }
    config = Config.model_validate(fixed)
    assert digest(config).hex()[:16] == "0ccb8eb76ef2707b"


def test_text_that_is_hashed_names_the_disputed_key() -> None:
    assert '"gamma":0.98' in agreed_text(Config())


def test_run_id_depends_on_the_name_alone() -> None:
    assert run_id(load_config([], {}, ["run.seed=9", "env.name=Pendulum-v1"])) == run_id(Config())
    assert run_id(load_config([], {}, ["run.name=other"])) != run_id(Config())
    assert len(run_id(Config())) == len(digest(Config())) == 32
