"""Layers: files < environment < command line, and what each may look like."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.sources import MAX_FILE_BYTES, dotted_keys, variable_name
from peer.errors import ConfigError
from tests.unit.config.config_files import load, refusal


def test_later_source_wins_key_by_key(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        "round: {train_s: 1, grace_s: 1, backup_gap_s: 1, anti_entropy_s: 1}",
        "round: {grace_s: 2, backup_gap_s: 2, anti_entropy_s: 2}",
        env={"MURMUR_ROUND__BACKUP_GAP_S": "3", "MURMUR_ROUND__ANTI_ENTROPY_S": "3"},
        overrides=["round.anti_entropy_s=4", "round.miss_limit=8", "round.miss_limit=9"],
    )
    got = config.round
    assert (got.train_s, got.grace_s, got.backup_gap_s, got.anti_entropy_s, got.miss_limit) == (1, 2, 3, 4, 9)


def test_empty_section_in_a_later_file_keeps_the_earlier_values(tmp_path: Path) -> None:
    assert load(tmp_path, "round: {train_s: 9}", "round:\n").round.train_s == 9


def test_variants_of_a_preset_replace_those_before_it(tmp_path: Path) -> None:
    config = load(tmp_path, "env: {variants: {one: {}, two: {}}}", "env: {variants: {three: {}}}")
    assert set(config.env.variants) == {"three"}


def test_one_variant_can_be_changed_by_its_dotted_path(tmp_path: Path) -> None:
    config = load(tmp_path, "env: {variants: {one: {}, two: {}}}", overrides=["env.variants.two.seeds=[5, 6]"])
    assert config.env.variants["two"].seeds == (5, 6)
    assert config.env.variants["one"].seeds == (0, 1_000_000)


@pytest.mark.parametrize(
    ("name", "text", "path", "value"),
    [
        ("MURMUR_ROUND__TRAIN_S", "1", ("round", "train_s"), 1.0),
        ("MURMUR_PPO__LEARNING_RATE", "3e-4", ("ppo", "learning_rate"), 3e-4),
        ("MURMUR_NETWORK__DNS", "[peer, seed.example.org]", ("network", "dns"), ("peer", "seed.example.org")),
        ("MURMUR_STOP__MEAN_RETURN", "null", ("stop", "mean_return"), None),
        ("MURMUR_COMPUTE__THREADS", "auto", ("compute", "threads"), "auto"),
        ("MURMUR_COMPUTE__THREADS", "2", ("compute", "threads"), 2),
        ("MURMUR_LOG__FORMAT", "json", ("log", "format"), "json"),
        ("MURMUR_STORAGE__DATA_DIR", "/data", ("storage", "data_dir"), "/data"),
        ("MURMUR_STORAGE__DATA_DIR", "123", ("storage", "data_dir"), "123"),
        ("MURMUR_STORAGE__DATA_DIR", "a: [b", ("storage", "data_dir"), "a: [b"),
        ("MURMUR_RUN__NAME", "2024", ("run", "name"), "2024"),
        ("MURMUR_RUN__NAME", "true", ("run", "name"), "true"),
        ("murmur_round__train_s", "7", ("round", "train_s"), 7.0),
    ],
)
def test_environment_value_is_a_yaml_scalar_or_text(name: str, text: str, path: tuple[str, str], value: object) -> None:
    config = load_config([], {name: text}, [])
    assert getattr(getattr(config, path[0]), path[1]) == value
    dotted = ".".join(path)
    again = load_config([], {}, [f"{dotted}={text}"])
    assert again == config


def test_empty_variable_counts_as_unset() -> None:
    assert load_config([], {"MURMUR_ROUND__TRAIN_S": ""}, []) == Config()


def test_foreign_variables_with_our_prefix_are_left_alone() -> None:
    foreign = {"MURMUR_SERVICE_HOST": "10.0.0.1", "MURMUR_PORT_4001_TCP": "tcp://10.0.0.1:4001", "MURMUR_": "x"}
    assert load_config([], foreign, []) == Config()


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (
            {"MURMUR_ROUND_TRAIN_S": "1"},
            "environment variable MURMUR_ROUND_TRAIN_S: unknown; did you mean MURMUR_ROUND__TRAIN_S?",
        ),
        (
            {"MURMUR_ROUND__TRAINS": "1"},
            "environment variable MURMUR_ROUND__TRAINS: round.trains: unknown key; did you mean round.train_s?",
        ),
        (
            {"MURMUR_ROUND__TRAIN_S": "fast"},
            "environment variable MURMUR_ROUND__TRAIN_S: round.train_s: expected a number from 0.05 to 3600,"
            " got 'fast' (text)",
        ),
        (
            {"MURMUR_ROUND__TRAIN_S": "1, 2"},
            "environment variable MURMUR_ROUND__TRAIN_S: round.train_s: expected a number from 0.05 to 3600,"
            " got '1, 2' (text)",
        ),
        (
            {"MURMUR_ROUND__TRAIN_S__X": "1"},
            "environment variable MURMUR_ROUND__TRAIN_S__X: round.train_s: expected a number from 0.05 to 3600,"
            " got a mapping",
        ),
    ],
)
def test_bad_variable_is_named(env: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([], env, [])
    assert str(caught.value) == message


def test_variable_with_broken_yaml_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^environment variable MURMUR_NETWORK__DNS:1: not valid YAML: "):
        load_config([], {"MURMUR_NETWORK__DNS": "[peer"}, [])


@pytest.mark.parametrize("text", ["round", "round.train_s", "train_s=1", "=1", "round.=1", ".train_s=1", ""])
def test_malformed_override_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^command line: expected section.key=value, got "):
        load_config([], {}, [text])


@pytest.mark.parametrize(
    ("text", "meant"),
    [("gamma=0.9", "ppo.gamma=0.9"), ("lr=1e-3", "ppo.learning_rate=1e-3"), ("seed=3", "run.seed=3")],
)
def test_override_without_its_section_is_refused_with_the_key_that_is_meant(text: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"expected section\.key=value, got '{text}'; did you mean {meant}\?$"):
        load_config([], {}, [text])


def test_override_value_may_hold_an_equals_sign() -> None:
    assert load_config([], {}, ["storage.data_dir=/a=b"]).storage.data_dir == "/a=b"


def test_every_key_can_be_set_from_the_environment() -> None:
    """Each key's own default, given as a variable, changes nothing."""
    values = Config().model_dump(mode="json")
    env = {
        variable_name(key): value if isinstance(value, str) else json.dumps(value)
        for key in dotted_keys()
        for value in [values[key.split(".")[0]][key.split(".")[1]]]
    }
    assert len(env) == len(dotted_keys()) > 40
    assert load_config([], env, []) == Config()


def test_missing_file_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "pendulum.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"pendulm.yaml: no such file; did you mean .*/pendulum.yaml\?$"):
        load_config([tmp_path / "pendulm.yaml"], {}, [])


def test_missing_file_suggests_no_neighbour_for_its_ending_alone(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"missing.yaml: no such file; check the path$"):
        load_config([tmp_path / "missing.yaml"], {}, [])


def test_missing_file_suggests_the_preset_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "pendulum.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"pendulum.yaml: no such file; did you mean .*/configs/pendulum.yaml\?$"):
        load_config([tmp_path / "pendulum.yaml"], {}, [])


def test_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load_config([tmp_path], {}, [])


def test_path_with_a_nul_byte_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read: embedded null byte"):
        load_config([Path("a\0b")], {}, [])


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("run: {name: a}")
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything: a link to itself cannot be read by anybody
        path.unlink()
        path.symlink_to(path)
    with pytest.raises(ConfigError, match=r"a.yaml: cannot be read: (permission denied|too many levels)"):
        load_config([path], {}, [])


def test_oversize_file_is_refused_without_reading_it_all() -> None:
    """/dev/zero never ends."""
    with pytest.raises(ConfigError, match=rf"^/dev/zero: larger than {MAX_FILE_BYTES} bytes"):
        load_config([Path("/dev/zero")], {}, [])


def test_file_that_is_a_list_or_text_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "- a") == "a.yaml:1: expected sections such as 'round:', got ['a'] (a list)"
    assert refusal(tmp_path, "hello") == "a.yaml:1: expected sections such as 'round:', got 'hello' (text)"


def test_file_from_a_pipe_is_read() -> None:
    with subprocess.Popen(["printf", "run: {name: piped}"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        config = load_config([Path(f"/dev/fd/{process.stdout.fileno()}")], {}, [])
    assert config.run.name == "piped"
