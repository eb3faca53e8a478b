"""The command line in one process: help worth reading, one message for each mistake, and exit code 2."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import peer.commands.exits
import peer.commands.simulate
import peer.commands.table
import peer.commands.train
import peer.local_swarm
import peer.process
from peer.config.load import load_config
from peer.config.schema import Config
from peer.config.unread import is_read
from peer.errors import StorageError, TransportError
from tests.unit.cli.refusals import RUNNER, refused


@pytest.fixture(autouse=True)
def outside_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find no configs/config.yaml, and leave pytest's own signal handlers alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(peer.commands.exits, "on_stop", lambda _: None)
    monkeypatch.setattr(peer.commands.exits, "end_by_signals", lambda: None)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Collect the configurations that peers would have been started with."""
    configs: list[Config] = []
    monkeypatch.setattr(peer.process, "run_process", lambda config, **_: configs.append(config))
    return configs


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ("murmur up --peers 3", "peer", "up", "eval", "docs/user-guide.md")),
        (("peer",), ("[/ip4/192.0.2.7/tcp/4001]", "--config", "SECTION.KEY=VALUE", "Exit code")),
        (("up",), ("--peers", "[default: 3", "--base-port", "kill -9", "Ctrl-C")),
        (("eval",), ("MODEL", "--episodes", "[default: 20", "--seed", "--device", "model.safetensors")),
    ],
)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_of_every_command_has_examples_and_defaults(
    command: tuple[str, ...], words: tuple[str, ...], option: str
) -> None:
    result = RUNNER.invoke(peer.commands.table.app, [*command, option], terminal_width=120)
    assert result.exit_code == 0, result.output
    assert all(word in result.output for word in words), result.output
    assert "Example" in result.output


COMMANDS = (
    *("", "peer", "up", "train", "eval", "bench", "simulate", "status", "log", "doctor"),
    *(f"identity {name}".strip() for name in ("", "new", "show", "export", "import")),
    *(f"swarm-key {name}".strip() for name in ("", "new", "show")),
    *(f"allow-list {name}".strip() for name in ("", "new", "add", "remove", "sign", "show")),
)


@pytest.mark.parametrize("command", ["", "identity", "swarm-key", "allow-list"])
def test_list_of_commands_cuts_no_sentence_at_80_columns(command: str) -> None:
    result = RUNNER.invoke(
        peer.commands.table.app, [*command.split(), "-h"], terminal_width=78
    )  # a terminal of 80 leaves as many
    listed = result.output.partition("\nCommands:\n")[2]
    assert listed
    assert "..." not in listed


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("identity", "swarm-key")])
def test_help_shows_an_example(command: str) -> None:
    result = RUNNER.invoke(peer.commands.table.app, [*command.split(), "-h"], terminal_width=120)
    assert f"  murmur {command}" in result.output.partition("Example")[2]


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        ("train --seed 7", "--seed. It is a setting, which is given without dashes: run.seed=7"),
        ("train --lr=3e-4", "--lr. It is a setting, which is given without dashes: ppo.learning_rate=3e-4"),
        ("peer --port", "--port. It is a setting, which is given without dashes: network.port=..."),
        ("up -n 2 --num-envs 4", "--num-envs. It is a setting, which is given without dashes: ppo.num_envs=4"),
        ("doctor --stop.seed 1", "--stop.seed. It is a setting, which is given without dashes: stop.seed=1"),
        ("train --zzz 1", "--zzz"),
        ("eval --port 1", "--port"),
    ],
)
def test_setting_typed_as_an_option_is_told_how_it_is_given(arguments: str, setting: str) -> None:
    result = RUNNER.invoke(peer.commands.table.app, arguments.split())
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: No such option: {setting}"


@pytest.mark.parametrize(
    ("command", "unread"), [("train", peer.commands.train.UNREAD), ("simulate", peer.commands.simulate.UNREAD)]
)
def test_help_shows_no_setting_that_has_no_effect(command: str, unread: Mapping[str, str]) -> None:
    result = RUNNER.invoke(peer.commands.table.app, [command, "-h"], terminal_width=120)
    shown = re.findall(r"\b([a-z]+\.[a-z_]+)=", result.output)
    assert shown
    assert all(is_read(key, unread) for key in shown)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_terminal_of_80_columns(command: str) -> None:
    result = RUNNER.invoke(peer.commands.table.app, [*command.split(), "-h"], terminal_width=80)
    assert result.exit_code == 0, result.output
    assert [line for line in result.output.splitlines() if len(line) > 80] == []


def test_version_and_help_load_neither_libtorch_nor_libp2p() -> None:
    script = (
        "import sys, peer.commands.table\n"
        "try: peer.commands.table.app(['--version'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert not {'libp2p', 'trio', 'numpy', 'peer._core', 'rich'} & set(sys.modules), sorted(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"murmuration \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("command", ["peer", "up"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("env.nam=x", "env.nam: unknown key; did you mean env.name?"),
        ("env.name=CartPol", "env.name: unknown env 'CartPol'; did you mean CartPole-v1?"),
        ("round.train_s=soon", "round.train_s: expected a number from 0.05 to 3600, got 'soon' (text)"),
        ("ppo.num_envs=0", "ppo.num_envs: expected a whole number from 1 to 65536, got 0"),
    ],
)
def test_mistake_on_the_command_line_is_named_once(command: str, setting: str, message: str) -> None:
    error = refused(command, setting)
    assert error.startswith(f"murmur: command line '{setting}': {message}")
    assert "\n" not in error


def test_mistake_in_a_file_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("round:\n  train_s: 1.0\n  grace: 2.0\n")
    error = refused("peer", "--config", "my.yaml")
    assert error.startswith("murmur: my.yaml:3: round.grace: unknown key; did you mean round.grace_s?")


def test_mistake_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MURMUR_NETWORK__PORT", "eighty")
    error = refused("peer")
    assert "MURMUR_NETWORK__PORT" in error
    assert "network.port: expected a whole number from 0 to 65535, got 'eighty' (text)" in error


@pytest.mark.parametrize("key", ["addresses", "announce"])
def test_address_that_nobody_can_dial_is_refused_with_its_key(key: str) -> None:
    said = refused("peer", f"network.{key}=[/ip4/192.0.2.7/tcp/1,/dns4/a..b/tcp/1]")
    assert f": network.{key}.1: expected a multiaddr" in said
    assert "expected 1 to 63 characters between the dots" in said


def test_missing_config_file_is_named() -> None:
    assert refused("peer", "-c", "gone.yaml") == "murmur: gone.yaml: no such file; check the path"


def test_config_file_beside_the_user_is_read_by_itself(tmp_path: Path, started: list[Config]) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "config.yaml").write_text("run:\n  name: mine\n")
    assert RUNNER.invoke(peer.commands.table.app, ["peer", "round.train_s=1"]).exit_code == 0
    (tmp_path / "other.yaml").write_text("run:\n  seed: 7\n")
    assert RUNNER.invoke(peer.commands.table.app, ["peer", "-c", "other.yaml"]).exit_code == 0
    assert [(config.run.name, config.run.seed, config.round.train_s) for config in started] == [
        ("mine", 1, 1.0),
        ("cartpole", 7, 2.0),
    ]


@pytest.mark.parametrize(("chosen", "expected"), [(None, "1"), ("8", "8")])
def test_peer_has_numpy_start_no_thread_for_each_core(
    started: list[Config], monkeypatch: pytest.MonkeyPatch, chosen: str | None, expected: str
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", chosen or "")
    if chosen is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    assert RUNNER.invoke(peer.commands.table.app, ["peer"]).exit_code == 0
    assert started
    assert os.environ["OPENBLAS_NUM_THREADS"] == expected


def test_later_sources_win(tmp_path: Path, started: list[Config], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.yaml").write_text("run: {name: a, seed: 1}\nround: {train_s: 1.0}\n")
    (tmp_path / "b.yaml").write_text("run: {name: b}\n")
    monkeypatch.setenv("MURMUR_ROUND__TRAIN_S", "5")
    RUNNER.invoke(peer.commands.table.app, ["peer", "-c", "a.yaml", "-c", "b.yaml", "run.seed=9"])
    (config,) = started
    assert (config.run.name, config.run.seed, config.round.train_s) == ("b", 9, 5.0)


@pytest.mark.parametrize("error", [StorageError("the disk is full"), TransportError("the port is taken")])
def test_peer_that_cannot_start_says_why_and_exits_2(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(config: Config, **_: object) -> None:
        raise error

    monkeypatch.setattr(peer.process, "run_process", fail)
    assert refused("peer") == f"murmur: {error}"


def test_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: Config, **_: object) -> None:
        raise KeyError("a bug of ours")

    monkeypatch.setattr(peer.process, "run_process", fail)
    assert isinstance(RUNNER.invoke(peer.commands.table.app, ["peer"]).exception, KeyError)


@pytest.mark.parametrize(
    "arguments",
    [("up", "-n", "0"), ("up", "-n", "65"), ("up", "--peers", "three"), ("up", "--base-port", "65001"), ("dance",)],
)
def test_bad_option_is_refused_with_a_hint_at_help(arguments: tuple[str, ...]) -> None:
    error = refused(*arguments)
    assert error.startswith("Usage: ")
    assert "-h' for help" in error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("up -n 65", "'--peers' / '-n': expected a whole number from 1 to 64, got '65'"),
        ("up --base-port x", "'--base-port': expected a whole number from 0 to 65000, got 'x'"),
        ("eval --episodes 0", "'--episodes': expected a whole number from 1 to 100000, got '0'"),
        ("eval --seed 1e400", f"'--seed': expected a whole number from 0 to {2**63 - 1}, got '1e400'"),
        ("log --slot 4096", "'--slot': expected a whole number from 0 to 4095, got '4096'"),
        ("log -n 0", "'-n': expected a whole number of at least 1, got '0'"),
        ("log -n 1.5", "'-n': expected a whole number of at least 1, got '1.5'"),
        ("log -n nan", "'-n': expected a whole number of at least 1, got 'nan'"),
        ("bench trian", "'env|train': expected one of env, train, got 'trian'; did you mean train?"),
        ("simulate --agent toys", "'--agent': expected one of toy, native, got 'toys'; did you mean toy?"),
        ("simulate --agent x", "'--agent': expected one of toy, native, got 'x'"),
    ],
)
def test_value_of_an_option_is_refused_with_what_was_expected(arguments: str, told: str) -> None:
    assert refused(*arguments.split()).splitlines()[-1] == f"Error: Invalid value for {told}"


@pytest.mark.parametrize(
    "override",
    ["network.port=5", "network.listen_host=::1", "network.addresses=[/ip4/192.0.2.7/tcp/1]", "storage.slot=3"],
)
def test_up_refuses_what_it_sets_for_each_peer_itself(override: str) -> None:
    key = override.partition("=")[0]
    assert refused("up", "round.train_s=1", override).startswith(
        f"murmur: command line '{override}': {key}: `murmur up` gives every peer its own"
    )


@pytest.mark.parametrize("run", ["Bad Run", "", "a/b", "x" * 49])
def test_allow_list_of_no_possible_run_is_not_made(tmp_path: Path, run: str) -> None:
    said = refused("allow-list", "new", "swarm.json", "--run", run)
    assert said == f"murmur: --run: expected 1 to 48 characters of a-z, 0-9 and '-', as of run.name, got {run!r}"
    assert not (tmp_path / "swarm.json").exists()


def test_up_names_what_a_file_sets_that_every_peer_has_its_own_of() -> None:
    network = Config().network.model_copy(update={"port": 5000, "addresses": ("/ip4/192.0.2.7/tcp/4001",)})
    config = Config().model_copy(update={"network": network})
    assert peer.local_swarm.unused_settings(config) == ["network.port", "network.addresses"]
    assert peer.local_swarm.unused_settings(Config()) == []


def test_up_gives_every_peer_its_own_of_all_that_it_says_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def start(arguments: list[str]) -> subprocess.Popen[str]:
        commands.append(arguments)
        return subprocess.Popen(["true"], text=True)

    monkeypatch.setattr(peer.local_swarm, "_start", start)
    swarm = peer.local_swarm.LocalSwarm(Config(), peers=2, base_port=5000, arguments=[])
    swarm._slots = [0, 1]
    swarm._start_all()
    assert [child.wait(5.0) for child in swarm._children] == [0, 0]
    for command in commands:
        assert set(peer.local_swarm._OWN_KEYS) <= {setting.partition("=")[0] for setting in command}
        config = load_config([], {"MURMUR_NETWORK__PEER_NAME": "gpu-7"}, command[1:])
        assert config.network.peer_name is None  # so that they are called after their slots


def test_up_that_was_stopped_before_it_started_anybody_says_so() -> None:
    swarm = peer.local_swarm.LocalSwarm(Config(), peers=2, base_port=5000, arguments=[])
    assert swarm._verdict([]) == "stopped before any peer was started"


def test_up_that_is_stopped_while_it_starts_a_peer_stops_that_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was waited for until it was killed, without its state saved."""
    started: list[subprocess.Popen[str]] = []

    def start(_arguments: list[str]) -> subprocess.Popen[str]:
        child = subprocess.Popen(["sleep", "60"], text=True)
        started.append(child)
        swarm._on_signal(signal.SIGINT, None)
        return child

    monkeypatch.setattr(peer.local_swarm, "_start", start)
    swarm = peer.local_swarm.LocalSwarm(Config(), peers=2, base_port=5000, arguments=[])
    swarm._slots = [0, 1]
    swarm._start_all()
    (child,) = started
    try:
        assert child.wait(5.0) == -signal.SIGTERM
    finally:
        child.kill()


@pytest.mark.parametrize("command", ["up", "peer", "doctor"])
def test_signals_are_listened_for_before_anything_slow_is_loaded(command: str) -> None:
    code = (
        "import sys, peer.commands.table, peer.commands.exits as exits\n"
        "slow = ('peer.config.schema', 'peer.network', 'trio', 'numpy')\n"
        "exits.on_stop = lambda _: sys.exit(','.join(name for name in slow if name in sys.modules) or 7)\n"
        f"peer.commands.table.app(['{command}'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 7, done.stderr
