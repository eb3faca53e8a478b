"""Values: what is accepted, and the message for everything that is not."""

from pathlib import Path

import pytest

from peer.config.load import MAX_PROBLEMS, load_config
from peer.config.schema import Config
from peer.errors import ConfigError
from peer.network.identity import Identity
from tests.unit.config.config_files import load, refusal


def test_no_source_gives_the_demo(tmp_path: Path) -> None:
    assert load_config([], {}, []) == Config()


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "---\n", "null", "round:\n", "round: {}\nppo: ~", "﻿"])
def test_empty_file_and_empty_section_give_defaults(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == Config()


def test_empty_variant_gives_its_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, "env:\n  variants:\n    plain:\n    short:\n      params: {length: 0.25}\n")
    assert config.env.variants["plain"].params == {}
    assert config.env.variants["short"].params == {"length": 0.25}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rounds: {}", "a.yaml:1: rounds: unknown key; did you mean round?"),
        ("round:\n  train: 3", "a.yaml:2: round.train: unknown key; did you mean round.train_s?"),
        ("round:\n  Train_S: 3", "a.yaml:2: round.Train_S: unknown key; did you mean round.train_s?"),
        ("round:\n  learning_rate: 1", "a.yaml:2: round.learning_rate: unknown key; did you mean ppo.learning_rate?"),
        ("ppo:\n  lr: 1", "a.yaml:2: ppo.lr: unknown key; did you mean ppo.learning_rate?"),
        ("round:\n  lr: 1", "a.yaml:2: round.lr: unknown key; did you mean ppo.learning_rate?"),
        ("ppo:\n  net_arch: [64]", "a.yaml:2: ppo.net_arch: unknown key; did you mean model.hidden?"),
        ("PPO:\n\n  gamma: 0.9", "a.yaml:1: PPO: unknown key; did you mean ppo?"),
        ("ppo.gamma: 0.9", "a.yaml:1: ppo.gamma: unknown key; did you mean gamma: below ppo:?"),
        ("ppo.lr: 1e-3", "a.yaml:1: ppo.lr: unknown key; did you mean learning_rate: below ppo:?"),
        (
            "log:\n  zzz: 1",
            "a.yaml:2: log.zzz: unknown key; the keys of log are format, level, tensorboard, time, waiting_every_s",
        ),
        (
            "zzz: 1",
            "a.yaml:1: zzz: unknown key; the sections are aggregation, compute, env, log, model, network, ppo, round,"
            " run, stop, storage",
        ),
        (
            "env:\n  variants:\n    a:\n      seed: [1, 2]",
            "a.yaml:4: env.variants.a.seed: unknown key; did you mean env.variants.a.seeds?",
        ),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ppo: {num_envs: '8'}", "ppo.num_envs: expected a whole number from 1 to 65536, got '8' (text)"),
        ("ppo: {num_envs: 8.0}", "ppo.num_envs: expected a whole number from 1 to 65536, got 8.0 (a number)"),
        ("ppo: {num_envs: true}", "ppo.num_envs: expected a whole number from 1 to 65536, got true (true/false)"),
        ("ppo: {num_envs: 0}", "ppo.num_envs: expected a whole number from 1 to 65536, got 0 (a whole number)"),
        ("ppo: {num_envs: [8]}", "ppo.num_envs: expected a whole number from 1 to 65536, got [8] (a list)"),
        ("ppo: {num_envs: {a: 8}}", "ppo.num_envs: expected a whole number from 1 to 65536, got a mapping"),
        ("ppo: {num_envs: }", "ppo.num_envs: expected a whole number from 1 to 65536, got nothing (null)"),
        ("ppo: {gamma: 1.01}", "ppo.gamma: expected a number from 0 to 1, got 1.01 (a number)"),
        ("ppo: {gamma: .nan}", "ppo.gamma: expected a number from 0 to 1, got NaN (a number)"),
        ("ppo: {gamma: '0.9'}", "ppo.gamma: expected a number from 0 to 1, got '0.9' (text)"),
        ("ppo: {gamma: true}", "ppo.gamma: expected a number from 0 to 1, got true (true/false)"),
        ("ppo: {clip_range: 0}", "ppo.clip_range: expected a number above 0 up to 1, got 0 (a whole number)"),
        ("ppo: {adam_beta1: 1.0}", "ppo.adam_beta1: expected a number from 0 and below 1, got 1.0 (a number)"),
        (
            "ppo: {normalize_rewards: yes}",
            "ppo.normalize_rewards: expected true or false, got 'yes' (text)",
        ),
        ("ppo: {normalize_rewards: 1}", "ppo.normalize_rewards: expected true or false, got 1 (a whole number)"),
        (
            "ppo: {lr_schedule: lineer}",
            "ppo.lr_schedule: expected one of constant, linear, got 'lineer' (text); did you mean linear?",
        ),
        (
            "compute: {device: CUDA}",
            "compute.device: expected one of auto, cpu, cuda, got 'CUDA' (text); did you mean cuda?",
        ),
        (
            "compute: {threads: 0}",
            "compute.threads: expected auto or a whole number from 1 to 1024, got 0 (a whole number)",
        ),
        ("stop: {mean_return: .inf}", "stop.mean_return: expected a number or null, got infinity (a number)"),
        ("stop: {mean_return: -.inf}", "stop.mean_return: expected a number or null, got -infinity (a number)"),
        ("round: 5", "round: expected a mapping (name: value), got 5 (a whole number)"),
        ("round: [train_s]", "round: expected a mapping (name: value), got ['train_s'] (a list)"),
        ("run: {name: Cart Pole}", "run.name: expected 1 to 48 characters of a-z, 0-9 and '-', got 'Cart Pole' (text)"),
        ("run: {name: 7}", "run.name: expected 1 to 48 characters of a-z, 0-9 and '-', got 7 (a whole number)"),
        ('run: {name: "a\\n"}', "run.name: expected 1 to 48 characters of a-z, 0-9 and '-', got 'a\\n' (text)"),
        ("model: {hidden: [64, 0]}", "model.hidden.1: expected a whole number from 1 to 4096, got 0 (a whole number)"),
        (
            "model: {hidden: 64}",
            "model.hidden: expected a list, each entry a whole number from 1 to 4096, with at least 1 and at most 4"
            " entries, got 64 (a whole number)",
        ),
        (
            "network: {dns: peer}",
            "network.dns: expected a list, each entry a DNS name such as peer or seed.example.org, with at most 64"
            " entries, got 'peer' (text)",
        ),
        (
            "network: {addresses: [localhost]}",
            "network.addresses.0: expected a multiaddr such as /ip4/192.0.2.7/tcp/4001, got 'localhost' (text);"
            " expected /ip4/<address>/tcp/<port>[/p2p/<peer id>], got 'localhost'",
        ),
        (
            "network: {listen_host: localhost}",
            "network.listen_host: expected an IP address of this machine such as 0.0.0.0 (all) or 127.0.0.1,"
            " got 'localhost' (text)",
        ),
        ("network: {port: 65536}", "network.port: expected a whole number from 0 to 65535, got 65536 (a whole number)"),
        (
            "env: {variants: {}}",
            "env.variants: expected a mapping (name: value) with at least 1 and at most 1024 entries,"
            " got an empty mapping",
        ),
        ("env: {variants: {Long_Pole: {}}}", "env.variants.Long_Pole: bad name; expected 1 to 48 of a-z, 0-9 and '-'"),
        (
            "env: {variants: {a: {seeds: [3]}}}",
            "env.variants.a.seeds: expected a list of 2, each entry a whole number from 0 to 9223372036854775807,"
            " got [3] (a list)",
        ),
        (
            "env: {variants: {a: {seeds: [3, 3]}}}",
            "env.variants.a.seeds: expected [start, end] with start < end, got [3, 3]",
        ),
    ],
)
def test_bad_value_says_key_expectation_and_what_came(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == f"a.yaml:1: {message}"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("/ip4/192.0.2.7", "expected /ip4/<address>/tcp/<port>"),
        ("/ip4/192.0.2.7", "got '/ip4/192.0.2.7'; did you mean /ip4/192.0.2.7/tcp/4001?"),
        ("192.0.2.7", "got '192.0.2.7'; did you mean /ip4/192.0.2.7/tcp/4001?"),
        ("gpu.example.org", "did you mean /dns4/gpu.example.org/tcp/4001?"),
        ('"2001:db8::7"', "did you mean /ip6/2001:db8::7/tcp/4001?"),
        ('"[2001:db8::7]:4002"', "did you mean /ip6/2001:db8::7/tcp/4002?"),
        ("/ip4/192.0.2.7/udp/4001/quic-v1", "expected /ip4/<address>/tcp/<port>"),
        ("192.0.2.7:4001", "got '192.0.2.7:4001'; did you mean /ip4/192.0.2.7/tcp/4001?"),
        ("gpu.example.org:4001", "did you mean /dns4/gpu.example.org/tcp/4001?"),
        ("/ip4/192.0.2.7/tcp/70000", "expected a port from 0 to 65535, got '70000'"),
        ("/ip4/192.0.2.7/tcp/-1", "expected a port from 0 to 65535, got '-1'"),
        ("/ip4/999.1.1.1/tcp/1", "999"),
        ("/ip6/192.0.2.7/tcp/1", "192.0.2.7"),
        ("/dns4/a..b/tcp/1", "expected 1 to 63 characters between the dots"),
        ("/ip4/192.0.2.7/tcp/1/p2p/notanid", "expected 52 characters, got 7"),
    ],
)
@pytest.mark.parametrize("key", ["addresses", "announce"])
def test_address_that_no_peer_could_dial_is_refused_with_the_reason(
    tmp_path: Path, key: str, address: str, why: str
) -> None:
    said = refusal(tmp_path, f"network: {{{key}: [/dns/peer/tcp/4001, {address}]}}")
    assert said.startswith(f"a.yaml:1: network.{key}.1: expected a multiaddr such as /ip4/192.0.2.7/tcp/4001, got ")
    assert why in said


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("/ip4/192.0.2.7/tcp/0", "nobody can dial port 0"),
        ("/ip4/0.0.0.0/tcp/4001", "0.0.0.0 is an address to listen on, which nobody can dial"),
        ("/dns4/10.1/tcp/4001", "10.1 is a number and no name: write it as /ip4/<address>/tcp/4001"),
        ("/ip6/::/tcp/4001", ":: is an address to listen on, which nobody can dial"),
        (f"/dns/peer/tcp/1/p2p/{Identity.for_tests(1).peer_id}", "leave out /p2p/...: others know whose address it is"),
    ],
)
def test_address_that_leads_others_nowhere_is_not_announced(tmp_path: Path, address: str, why: str) -> None:
    assert refusal(tmp_path, f'network: {{announce: ["{address}"]}}').endswith(f"(text); {why}")
    assert load(tmp_path, f'network: {{addresses: ["{address}"]}}').network.addresses == (address,)


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "fe80::1%eth0"])
def test_address_of_any_family_is_listened_on(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, f'network: {{listen_host: "{host}"}}').network.listen_host == host


@pytest.mark.parametrize("host", ["fe80::1%a/b", "fe80::1%a b", "127.0.0.1/8"])
def test_host_that_is_no_address_alone_is_not_listened_on(tmp_path: Path, host: str) -> None:
    assert "network.listen_host: expected an IP address" in refusal(tmp_path, f'network: {{listen_host: "{host}"}}')


def test_minibatch_that_does_not_divide_names_the_numbers_and_one_that_would(tmp_path: Path) -> None:
    assert refusal(tmp_path, "ppo:\n  minibatch_size: 256\n  num_envs: 7\n  rollout_steps: 32\n") == (
        "a.yaml:2: ppo.minibatch_size: expected a divisor of num_envs * rollout_steps = 7 * 32 = 224, got 256;"
        " 224 would do"
    )


def test_batch_beyond_memory_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "ppo:\n  num_envs: 65536\n  rollout_steps: 65536\n") == (
        "a.yaml:2: ppo.num_envs: expected num_envs * rollout_steps of at most 67108864, got 65536 * 65536 = 4294967296"
    )


def test_broken_rule_points_at_the_source_that_broke_it(tmp_path: Path) -> None:
    message = refusal(tmp_path, "ppo: {minibatch_size: 256, rollout_steps: 32}", overrides=["ppo.num_envs=7"])
    assert message.startswith("command line 'ppo.num_envs=7': ppo.minibatch_size: expected a divisor")


def test_redial_bounds_the_wrong_way_round_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, "network: {redial_min_s: 50, redial_max_s: 30}")
    assert message == "a.yaml:1: network.redial_min_s: expected at most redial_max_s = 30.0, got 50.0"


def test_normalising_advantages_of_one_step_is_refused(tmp_path: Path) -> None:
    assert "ppo.normalize_advantages" in refusal(tmp_path, "ppo: {minibatch_size: 1, normalize_advantages: true}")
    assert load(tmp_path, "ppo: {minibatch_size: 1, normalize_advantages: false}").ppo.minibatch_size == 1


@pytest.mark.parametrize(
    ("key", "most"), [("observation_clip", "1000000.0"), ("reward_clip", "1000000.0"), ("value_clip_range", "1000.0")]
)
def test_bounds_that_vanish_in_single_precision_are_refused(tmp_path: Path, key: str, most: str) -> None:
    message = refusal(tmp_path, f"ppo: {{{key}: 1e-50}}")
    assert message == (
        f"a.yaml:1: ppo.{key}: expected 0 (off), or a number from 1.17549435e-38 to {most}, got 1e-50 (a number)"
    )
    assert load(tmp_path, f"ppo: {{{key}: 0}}").ppo == load(tmp_path, f"ppo: {{{key}: 0.0}}").ppo


@pytest.mark.parametrize("value", ["0", "1e-46", "1e-40"])
def test_an_epsilon_of_adam_that_vanishes_in_single_precision_is_refused(tmp_path: Path, value: str) -> None:
    message = refusal(tmp_path, f"ppo: {{adam_epsilon: {value}}}")
    assert message.startswith("a.yaml:1: ppo.adam_epsilon: expected a number from 1.17")


def test_all_problems_are_told_up_to_a_bound(tmp_path: Path) -> None:
    lines = refusal(tmp_path, "ppo:\n  gamma: 2\n  epochs: 0\nlog:\n  level: loud\n").splitlines()
    assert [line.split(": ")[1] for line in lines] == ["ppo.epochs", "ppo.gamma", "log.level"]
    many = refusal(tmp_path, "\n".join(f"strange-{i}: 1" for i in range(100))).splitlines()
    assert len(many) == MAX_PROBLEMS + 1
    assert many[-1] == "... and 92 more"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "env: {name: CartPole}",
            "env.name: unknown env 'CartPole'; did you mean CartPole-v1? (known: CartPole-v1, Pendulum-v1; those of"
            " Gymnasium as module:id, such as gymnasium:LunarLander-v3)",
        ),
        (
            "env: {variants: {a: {params: {lenght: 1}}}}",
            "env.variants.a.params.lenght: CartPole-v1 has no parameter 'lenght'; did you mean length?",
        ),
        (
            "env: {name: 'broken:Env-v0'}",
            "env.name: broken:Env-v0 cannot be used: it has no time limit",
        ),
        (
            "env: {variants: {a: {params: {links: 1.5}}}}",
            "env.variants.a.params.links: expected a whole number, got 1.5",
        ),
        (
            "env: {variants: {a: {params: {zzz: 1}}}}",
            "env.variants.a.params.zzz: CartPole-v1 has no parameter 'zzz'; its parameters are length, links, masspole",
        ),
        (
            "env: {variants: {a: {params: {length: 11}}}}",
            "env.variants.a.params.length: expected a number from 0.01 to 10.0, got 11.0",
        ),
        (
            "env: {variants: {a: {params: {length: long}}}}",
            "env.variants.a.params.length: expected a number, got 'long' (text)",
        ),
        (
            "env: {variants: {a: {params: {length: .nan}}}}",
            "env.variants.a.params.length: expected a number, got NaN (a number)",
        ),
    ],
)
def test_env_and_its_params_are_checked_against_the_table(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == f"a.yaml:1: {message}"


def test_an_env_of_which_few_may_run_at_once_bounds_batch_and_evaluation(tmp_path: Path) -> None:
    assert load(
        tmp_path,
        "env: {name: Pendulum-v1}\nppo: {num_envs: 24}\nstop: {episodes: 24}",
        overrides=["ppo.minibatch_size=96"],
    )
    text = "env: {name: Pendulum-v1}\nppo: {num_envs: 32}\nstop: {episodes: 25}"
    assert refusal(tmp_path, text).splitlines() == [
        "a.yaml:2: ppo.num_envs: expected at most 24, as Pendulum-v1 runs in Python, got 32",
        "a.yaml:3: stop.episodes: expected at most 24, as Pendulum-v1 runs in Python, got 25",
    ]


def test_bounds_of_an_env_param_are_allowed_values(tmp_path: Path) -> None:
    for value in (0.01, 10.0):
        config = load(tmp_path, f"env: {{variants: {{a: {{params: {{length: {value}}}}}}}}}")
        assert config.env.variants["a"].params["length"] == value


def test_without_a_table_envs_are_not_checked() -> None:
    assert load_config([], {}, ["env.name=Ant-v5"]).env.name == "Ant-v5"


def test_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().ppo.gamma = 0.5


def test_rules_hold_for_a_config_built_in_code_too() -> None:
    with pytest.raises(ValueError, match="expected a divisor"):
        Config.model_validate({"ppo": {"num_envs": 3, "rollout_steps": 1, "minibatch_size": 2}})


def test_message_is_printable_whatever_the_file_holds(tmp_path: Path) -> None:
    message = refusal(tmp_path, '"\\e[31mred\\ud800": 1\n' + "k" * 5000 + ": 2")
    assert all(line.isprintable() for line in message.splitlines())
    assert len(message) < 1000
    message.encode("utf-8")


def test_missing_config_error_kind_is_the_projects_own() -> None:
    with pytest.raises(ConfigError, match=r"^nowhere/x.yaml: no such file; check the path$"):
        load_config([Path("nowhere/x.yaml")], {}, [])


@pytest.mark.parametrize("key", ["peer_name", "interface", "swarm_key_file"])
def test_what_may_be_null_is_said_to_be_so_once(tmp_path: Path, key: str) -> None:
    assert refusal(tmp_path, f'network: {{{key}: ""}}').count("null") == 1
