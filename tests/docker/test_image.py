"""The image by itself: size, user, what is in it and what is not, the health check, and answers to bad input."""

from pathlib import Path
from typing import Any

import pytest

from tests.docker.compose_swarm import TEST_IMAGE, docker_sdk

pytestmark = pytest.mark.docker

# Walk the requirements of the installed package and print those that are missing or of another version. torch is left
# out: its Python half is pruned, with what only that needs.
UNMET = """
from importlib.metadata import PackageNotFoundError, distribution
from packaging.requirements import Requirement
seen, queue = {"torch"}, ["murmuration"]
while queue:
    for text in distribution(queue.pop()).requires or []:
        need = Requirement(text)
        if need.name in seen or (need.marker and not need.marker.evaluate({"extra": ""})):
            continue
        seen.add(need.name)
        try:
            if not need.specifier.contains(distribution(need.name).version, prereleases=True):
                print("wrong version of", need)
            queue.append(need.name)
        except PackageNotFoundError:
            print("missing", need)
print("walked", len(seen))
"""

PYTHON_ENV = """
import gymnasium as gym

class Still(gym.Env):
    observation_space = gym.spaces.Box(0.0, 1.0, (1,))
    action_space = gym.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        return [0.5], {}
    def step(self, action):
        return [0.5], 1.0, False, False, {}

gym.register("Still-v0", Still, max_episode_steps=10)
"""


def run(
    client: Any,  # Any, here and below: the SDK comes without types
    *arguments: str,
    entrypoint: str | None = None,
    **settings: Any,
) -> tuple[int, str]:
    """Run the image once, locked down as Compose runs it; return exit code and output."""
    container = client.containers.run(
        TEST_IMAGE,
        list(arguments),
        entrypoint=entrypoint,
        detach=True,
        read_only=True,
        tmpfs=settings.pop("tmpfs", {"/tmp": ""}),
        cap_drop=["ALL"],
        labels={"murmuration.test": "image"},
        **settings,
    )
    try:
        code = int(container.wait(timeout=120)["StatusCode"])
        return code, container.logs().decode()
    finally:
        container.remove(force=True, v=True)


@pytest.fixture
def client(image: Any) -> Any:
    """An engine that has the image."""
    return docker_sdk.from_env(timeout=120)


def test_image_is_at_most_1200_mb(image: Any) -> None:
    assert image.attrs["Size"] <= 1_200_000_000


def test_container_runs_as_unprivileged_user_under_an_init(image: Any) -> None:
    assert image.attrs["Config"]["User"] == "peer"
    assert image.attrs["Config"]["Entrypoint"][0] == "tini"


def test_murmur_version_and_help_exit_zero(client: Any) -> None:
    for argument in ("--version", "-h"):
        code, output = run(client, argument)
        assert code == 0, output


def test_core_loads_without_pythons_torch(client: Any) -> None:
    code, output = run(client, "-c", "import peer._core, sys; assert 'torch' not in sys.modules", entrypoint="python3")
    assert code == 0, output


def test_pruning_left_every_dependency_in_place(client: Any) -> None:
    code, output = run(client, "-c", UNMET, entrypoint="python3")
    assert code == 0, output
    assert output.startswith("walked"), output
    assert int(output.split()[1]) > 20


def test_byte_code_of_dependencies_and_package_is_compiled(client: Any) -> None:
    program = "import libp2p, peer, pathlib; print([pathlib.Path(m.__cached__).is_file() for m in (libp2p, peer)])"
    code, output = run(client, "-c", program, entrypoint="python3")
    assert (code, output.strip()) == (0, "[True, True]")


@pytest.mark.parametrize(
    ("prepare", "expected", "says"),
    [
        ("true", 1, "has not taken a slot yet"),
        ("mkdir /tmp/s; echo /tmp/s >/tmp/murmur-slot", 1, "no heartbeat in /tmp/s yet"),
        ("mkdir /tmp/s; echo /tmp/s >/tmp/murmur-slot; touch /tmp/s/heartbeat", 0, "last heartbeat"),
        ("mkdir /tmp/s; echo /tmp/s >/tmp/murmur-slot; touch -d '-31 seconds' /tmp/s/heartbeat", 1, "31 s ago"),
        # The clock was set back by a minute, and the peer has hung since.
        ("mkdir /tmp/s; echo /tmp/s >/tmp/murmur-slot; touch -d '+1 minute' /tmp/s/heartbeat", 1, "last heartbeat"),
        # Another replica's heartbeat on the shared volume does not count.
        ("mkdir /tmp/s /tmp/t; echo /tmp/s >/tmp/murmur-slot; touch /tmp/t/heartbeat", 1, "no heartbeat"),
    ],
)
def test_health_check_watches_this_containers_own_slot(client: Any, prepare: str, expected: int, says: str) -> None:
    code, output = run(client, "-c", f"{prepare}; sh /usr/local/bin/healthcheck", entrypoint="sh")
    assert (code, says in output) == (expected, True), output


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"MURMUR_ROUND__TRAIN_S": "-1"}, "round.train_s"),
        ({"MURMUR_ROUND__TRAIN_SS": "1"}, "train_s"),
        ({"MURMUR_ENV__NAME": "CartPole-v0"}, "CartPole-v1"),
    ],
)
def test_bad_setting_exits_2_with_one_clear_message(client: Any, environment: dict[str, str], says: str) -> None:
    code, output = run(client, environment=environment)
    assert code == 2, output
    assert says in output
    assert "Traceback" not in output


def test_data_folder_of_another_user_is_named_without_traceback(client: Any) -> None:
    code, output = run(
        client, tmpfs={"/tmp": "", "/data": "mode=0755,uid=0"}, environment={"MURMUR_STORAGE__DATA_DIR": "/data"}
    )
    assert code != 0
    assert "/data" in output
    assert "Traceback" not in output


def test_a_module_beside_the_peer_brings_an_environment_in_python(client: Any, tmp_path: Path) -> None:
    """As docs/python-environments.md has it mounted."""
    tmp_path.chmod(0o755)
    module = tmp_path / "my_envs.py"
    module.write_text(PYTHON_ENV)
    code, output = run(
        client,
        *(
            "train",
            "env.name=my_envs:Still-v0",
            "stop.mean_return=null",
            "--env-steps",
            "512",
            "-o",
            "/tmp/m.safetensors",
        ),
        volumes={str(module): {"bind": "/home/peer/my_envs.py", "mode": "ro"}},
    )
    assert code == 0, output
    assert "my_envs:Still-v0: stopped at the bound on env steps" in output
