"""The Compose files, as every Compose on this machine understands them. Needs no engine."""

import json
from typing import Any

import pytest
import yaml

from tests.docker.compose_swarm import compose_commands, run_compose
from tests.docker.conftest import unavailable

pytestmark = pytest.mark.docker

CPU = ("docker-compose.yml",)
GPU = ("docker-compose.yml", "docker-compose.gpu.yml")


def configs(files: tuple[str, ...], **env: str) -> list[dict[str, Any]]:  # Any: Compose's own schema
    """Return the resolved configuration, once from each form of Compose."""
    commands = compose_commands()
    if not commands:
        unavailable("neither `docker compose` nor `docker-compose` works here")
    return [
        yaml.safe_load(run_compose(["config"], files=files, project="murmuration-test", env=env, command=command))
        for command in commands
    ]


@pytest.mark.parametrize("files", [CPU, GPU])
def test_peer_service_has_no_fixed_port_name_or_dependency(files: tuple[str, ...]) -> None:
    for config in configs(files):
        peer = config["services"]["peer"]
        assert list(config["services"]) == ["peer"], "every peer is alike: there is one service"
        assert not {"ports", "container_name", "hostname", "depends_on"} & set(peer)


@pytest.mark.parametrize("files", [CPU, GPU])
def test_peer_service_is_restarted_stopped_and_logged_with_bounds(files: tuple[str, ...]) -> None:
    for config in configs(files):
        peer = config["services"]["peer"]
        assert peer["restart"] == "on-failure"
        assert peer["stop_grace_period"] == "20s"
        assert peer["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
        assert peer["cap_drop"] == ["ALL"]
        assert peer["read_only"] is True


def test_limits_come_from_variables() -> None:
    for config in configs(CPU, PEER_CPUS="0.5", PEER_MEM="700m"):
        peer = config["services"]["peer"]
        assert float(peer["cpus"]) == 0.5
        assert str(peer["mem_limit"]) in ("700m", str(700 * 1024 * 1024))


def test_peers_of_a_run_without_end_may_come_back_with_the_machine() -> None:
    for config in configs(CPU, PEER_RESTART="unless-stopped"):
        assert config["services"]["peer"]["restart"] == "unless-stopped"


def test_configs_are_mounted_read_only_and_data_is_one_named_volume() -> None:
    for config in configs(CPU):
        mounts = json.dumps(config["services"]["peer"]["volumes"])
        assert "/app/configs:ro" in mounts or '"read_only": true' in mounts
        assert list(config["volumes"]) == ["peer-data"]


def test_gpu_file_reserves_all_gpus_and_refuses_the_cpu_build_of_torch() -> None:
    for config in configs(GPU):
        peer = config["services"]["peer"]
        (device,) = peer["deploy"]["resources"]["reservations"]["devices"]
        assert device["driver"] == "nvidia"
        assert device["capabilities"] == ["gpu"]
        assert "!=2.13.0+cpu" in peer["build"]["args"]["TORCH_SPEC"]
