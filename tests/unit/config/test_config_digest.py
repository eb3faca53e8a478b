"""The digest that the handshake compares: sensitive to what must be equal, and to nothing else."""

import json

import pytest

from peer.config.digest import (
    AGREED_KEYS,
    Differences,
    agreed_text,
    differences,
    differing_sections,
    digest,
    run_id,
    section_hints,
)
from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.sources import dotted_keys

CHIEF, DEPUTY = (
    "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
    "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD",
)
VALUES = {
    "run.name": ("cartpole", "other"),
    "run.seed": ("1", "2"),
    "env.name": ("CartPole-v1", "Pendulum-v1"),
    "env.variants": ("{a: {}}", "{b: {}}"),
    "env.vectorized": ("false", "true"),
    "model.hidden": ("[64, 64]", "[32]"),
    "model.activation": ("tanh", "relu"),
    "model.shared_trunk": ("false", "true"),
    "model.init_hidden_gain": ("1.5", "1"),
    "model.init_policy_gain": ("0.01", "1"),
    "model.init_value_gain": ("1.0", "0.5"),
    "model.init_log_std": ("0.0", "-1"),
    "ppo.num_envs": ("8", "16"),
    "ppo.rollout_steps": ("32", "64"),
    "ppo.epochs": ("20", "2"),
    "ppo.minibatch_size": ("256", "128"),
    "ppo.gamma": ("0.98", "0.5"),
    "ppo.gae_lambda": ("0.8", "0.5"),
    "ppo.clip_range": ("0.2", "0.1"),
    "ppo.clip_schedule": ("constant", "linear"),
    "ppo.value_clip_range": ("0.0", "0.1"),
    "ppo.entropy_coef": ("0.0", "0.1"),
    "ppo.value_coef": ("0.5", "0.1"),
    "ppo.max_grad_norm": ("0.5", "1"),
    "ppo.learning_rate": ("0.001", "1e-4"),
    "ppo.lr_schedule": ("constant", "linear"),
    "ppo.schedule_env_steps": ("1000000", "5"),
    "ppo.target_kl": ("0.0", "1"),
    "ppo.kl_penalty": ("0.0", "1"),
    "ppo.normalize_observations": ("false", "true"),
    "ppo.observation_clip": ("10.0", "5"),
    "ppo.reward_clip": ("10.0", "5"),
    "ppo.normalize_rewards": ("false", "true"),
    "ppo.normalize_advantages": ("true", "false"),
    "ppo.adam_beta1": ("0.9", "0.1"),
    "ppo.adam_beta2": ("0.999", "0.1"),
    "ppo.adam_epsilon": ("1e-05", "0.1"),
    "compute.device": ("auto", "cpu"),
    "compute.backend": ("auto", "fused"),
    "compute.threads": ("auto", "1"),
    "compute.pin_threads": ("false", "true"),
    "compute.nice": ("10", "0"),
    "round.train_s": ("2.0", "1"),
    "round.env_steps": ("null", "5"),
    "round.grace_s": ("3.0", "1"),
    "round.backup_gap_s": ("0.5", "1"),
    "round.miss_limit": ("2", "5"),
    "round.partition": ("available", "strict"),
    "round.merge": ("majority", "score"),
    "round.staleness_limit": ("4", "5"),
    "round.anti_entropy_s": ("2.0", "1"),
    "round.snapshot_every": ("10", "5"),
    "round.eval_every": ("1", "5"),
    "round.codec": ("auto", "int8"),
    "round.top_k_fraction": ("0.1", "0.5"),
    "aggregation.rule": ("clipped-mean", "mean"),
    "aggregation.clip": ("1.5", "2"),
    "aggregation.assumed_bad": ("0.25", "0.1"),
    "aggregation.bucket_size": ("1", "2"),
    "aggregation.weights": ("capped", "equal"),
    "aggregation.outer": ("sgd", "nesterov"),
    "aggregation.outer_lr": ("null", "0.5"),
    "aggregation.outer_momentum": ("0.9", "0.5"),
    "aggregation.outer_beta2": ("0.99", "0.5"),
    "aggregation.outer_epsilon": ("0.001", "0.1"),
    "network.listen_host": ("0.0.0.0", "127.0.0.1"),
    "network.port": ("4001", "1"),
    "network.peer_name": ("null", "alice"),
    "network.dns": ("[]", "[a]"),
    "network.addresses": ("[]", "[/ip4/192.0.2.7/tcp/4001]"),
    "network.mdns": ("false", "true"),
    "network.redial_min_s": ("0.5", "1"),
    "network.redial_max_s": ("30.0", "1"),
    "network.announce": ("[]", "[/ip4/192.0.2.7/tcp/4001]"),
    "network.interface": ("null", "eth0"),
    "network.rediscover_s": ("15.0", "1"),
    "network.max_connections": ("64", "1"),
    "network.max_messages_per_s": ("500", "50"),
    "network.swarm_key_file": ("null", "swarm.key"),
    "network.authorities": (f"[{CHIEF}, {DEPUTY}]", "[]"),
    "network.authority_signatures": ("1", "2"),
    "network.allow_list": ("null", "swarm.json"),
    "storage.data_dir": ("runs", "x"),
    "storage.slot": ("null", "1"),
    "storage.max_journal_bytes": ("268435456", "1048576"),
    "storage.max_payload_bytes": ("67108864", "0"),
    "storage.keep_snapshots": ("3", "5"),
    "storage.slot_file": ("null", "x"),
    "stop.mean_return": ("475.0", "null"),
    "stop.episodes": ("20", "5"),
    "stop.seed": ("1000000000", "5"),
    "stop.max_rounds": ("null", "5"),
    "stop.linger_s": ("10.0", "5"),
    "log.format": ("text", "json"),
    "log.level": ("info", "debug"),
    "log.time": ("false", "true"),
    "log.waiting_every_s": ("5.0", "1"),
    "log.tensorboard": ("null", "x"),
}
"""For each key two valid values. The first ones make a whole configuration, so that tuning a default changes no
test here."""

BASE = [f"{key}={values[0]}" for key, values in VALUES.items()]


def test_table_of_this_test_is_complete() -> None:
    assert set(VALUES) == set(dotted_keys())


@pytest.mark.parametrize("key", sorted(VALUES))
def test_digest_changes_exactly_with_the_agreed_keys(key: str) -> None:
    base = load_config([], {}, BASE)
    changed = load_config([], {}, [*BASE, f"{key}={VALUES[key][1]}"])
    assert changed != base
    section, _, name = key.partition(".")
    assert (digest(changed) != digest(base)) == (name in AGREED_KEYS.get(section, ()))


@pytest.mark.parametrize("key", sorted(VALUES))
def test_hints_name_the_section_whose_agreed_keys_differ(key: str) -> None:
    own = section_hints(load_config([], {}, BASE))
    other = section_hints(load_config([], {}, [*BASE, f"{key}={VALUES[key][1]}"]))
    section, _, name = key.partition(".")
    assert differing_sections(own, other) == ((section,) if name in AGREED_KEYS.get(section, ()) else ())


@pytest.mark.parametrize("hints", [b"", b"x", bytes(32)])
def test_hints_of_another_length_name_nothing(hints: bytes) -> None:
    own = section_hints(Config())
    assert len(own) == 2 * len(AGREED_KEYS) <= 32
    assert differing_sections(own, hints) == differing_sections(hints, own) == ()


def test_hints_of_any_one_length_are_compared() -> None:
    assert differing_sections(b"abc", b"abd") == ("env",)
    assert differing_sections(bytes(32), bytes(31) + b"x") == ()


def test_digest_does_not_depend_on_how_a_number_or_the_order_was_written() -> None:
    texts = [
        "env.variants={a: {params: {length: 1, g: 2}}, b: {}}",
        "env.variants={b: {}, a: {params: {g: 2.0, length: 1.0}}}",
    ]
    first, second = (load_config([], {}, [text, "stop.mean_return=475"]) for text in texts)
    assert digest(first) == digest(second)


def test_digest_has_not_changed_unawares() -> None:
    """Golden: another value means that peers of this version refuse those of the last one."""
    config = load_config(
        [], {}, [*BASE, "env.variants={a: {params: {length: 0.1}, seeds: [1, 2]}}", "stop.mean_return=1e-7"]
    )
    assert digest(config).hex()[:16] == "e244c1c04cce5f94"


def test_text_that_is_hashed_names_the_disputed_key() -> None:
    assert '"gamma":0.5' in agreed_text(load_config([], {}, ["ppo.gamma=0.5"]))


def test_run_id_depends_on_the_name_alone() -> None:
    assert run_id(load_config([], {}, ["run.seed=9", "env.name=Pendulum-v1"])) == run_id(Config())
    assert run_id(load_config([], {}, ["run.name=other"])) != run_id(Config())
    assert len(run_id(Config())) == len(digest(Config())) == 32


def test_keys_that_differ_are_named_from_the_text_of_the_other_settings() -> None:
    told = agreed_text(load_config([], {}, ["run.seed=2", "stop.episodes=7", "compute.nice=1"]))
    assert differences(told, Config()) == Differences(changed=("run.seed", "stop.episodes"))
    assert differences(agreed_text(Config()), Config()) == Differences()
    for text in ("no JSON", "[]", '{"run": 1}', "[" * 100_000):
        assert differences(text, Config()) is None, text[:20]


def test_keys_that_only_one_version_knows_are_told_from_changed_ones() -> None:
    """Also one that is null by default: no value tells that the other version had no such key."""
    settings = json.loads(agreed_text(load_config([], {}, ["run.seed=2", "stop.max_rounds=null"])))
    del settings["round"]["merge"], settings["stop"]["max_rounds"]
    older = differences(json.dumps(settings), Config())
    assert older is not None
    assert older == Differences(changed=("run.seed",), missing=("round.merge", "stop.max_rounds"))
    assert older.is_of_other_keys
    settings = json.loads(agreed_text(Config()))
    newer = differences(json.dumps({**settings, "run": {**settings["run"], "new": None}}), Config())
    assert newer is not None
    assert newer == Differences(has_unknown=True)
    assert newer.is_of_other_keys
