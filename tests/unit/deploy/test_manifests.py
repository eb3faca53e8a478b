"""The files in docker/ and deploy/ against the schemas of what reads them, and against the image and the settings."""

import configparser
import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from peer.config.load import load_config
from peer.services.status_answer import AdmissionStatus, PeerStatus, Status

ROOT = Path(__file__).resolve().parents[3]
KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
GPU = KUBERNETES / "overlays" / "gpu"
OLDEST, NEWEST = "1.27", "1.37"

Manifest = dict[str, Any]  # Any: Kubernetes' own schema, which the tests hold it against


def read(path: Path) -> Manifest:
    found = yaml.safe_load(path.read_text())
    assert isinstance(found, dict)
    return found


def kustomization(folder: Path) -> Manifest:
    return read(folder / "kustomization.yaml")


def base_manifests() -> dict[str, Manifest]:
    return {name: read(BASE / name) for name in kustomization(BASE)["resources"]}


def merged(base: Any, patch: Any) -> Any:  # Any: parts of a manifest
    """Return `base` with a strategic merge patch on it, as far as ours go: maps by key, lists of maps by name."""
    if isinstance(base, dict) and isinstance(patch, dict):
        return {key: merged(base.get(key), patch[key]) if key in patch else value for key, value in base.items()} | {
            key: value for key, value in patch.items() if key not in base
        }
    if isinstance(base, list) and isinstance(patch, list):
        names = {each["name"]: each for each in patch}
        kept = [merged(each, names.pop(each["name"])) if each["name"] in names else each for each in base]
        return kept + list(names.values())
    return copy.deepcopy(patch)


def gpu_set() -> Manifest:
    found: Manifest = merged(base_manifests()["statefulset.yaml"], read(GPU / "gpu.yaml"))
    return found


def the_container(stateful_set: Manifest) -> Manifest:
    (container,) = stateful_set["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def settings_of(literals: list[str]) -> dict[str, str]:
    return dict(literal.split("=", 1) for literal in literals)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_is_what_kubernetes_accepts(version: str) -> None:
    manifests = base_manifests()
    assert len(manifests) == 4
    for manifest in [*manifests.values(), gpu_set()]:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_schema_check_refuses_a_misspelt_key() -> None:
    broken = base_manifests()["statefulset.yaml"]
    broken["spec"]["template"]["spec"]["terminationGraceSeconds"] = 30
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, NEWEST, strict=True)


def test_every_file_is_part_of_a_kustomization() -> None:
    named = {BASE / name for name in kustomization(BASE)["resources"]}
    named |= {GPU / patch["path"] for patch in kustomization(GPU)["patches"]}
    named |= {BASE / "kustomization.yaml", GPU / "kustomization.yaml"}
    assert named == set(KUBERNETES.rglob("*.yaml"))
    assert [(GPU / resource).resolve() for resource in kustomization(GPU)["resources"]] == [BASE]


def test_service_is_headless_and_names_peers_before_they_are_ready() -> None:
    manifests = base_manifests()
    service, stateful_set = manifests["service.yaml"], manifests["statefulset.yaml"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert stateful_set["spec"]["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == stateful_set["spec"]["template"]["metadata"]["labels"]
    assert stateful_set["spec"]["podManagementPolicy"] == "Parallel"


def test_settings_of_the_pods_are_settings_of_a_peer() -> None:
    (generator,) = kustomization(BASE)["configMapGenerator"]
    container = the_container(base_manifests()["statefulset.yaml"])
    assert container["envFrom"] == [{"configMapRef": {"name": generator["name"]}}]
    config = load_config([], settings_of(generator["literals"]), [])
    assert config.network.dns == (base_manifests()["service.yaml"]["metadata"]["name"],)
    (port,) = container["ports"]
    assert config.network.port == port["containerPort"]


def test_pods_run_as_the_images_user_with_its_health_check() -> None:
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    spec = base_manifests()["statefulset.yaml"]["spec"]["template"]["spec"]
    assert f"--uid {spec['securityContext']['runAsUser']} " in dockerfile
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert the_container({"spec": {"template": {"spec": spec}}})[probe]["exec"]["command"] == [
            "sh",
            "/usr/local/bin/healthcheck",
        ]
    assert "docker/healthcheck.sh /usr/local/bin/healthcheck" in dockerfile


def test_keys_on_a_volume_stay_closed_to_the_group_when_it_is_mounted_again() -> None:
    security = base_manifests()["statefulset.yaml"]["spec"]["template"]["spec"]["securityContext"]
    assert security["fsGroup"] == security["runAsGroup"]
    assert security["fsGroupChangePolicy"] == "OnRootMismatch"


def test_gpu_overlay_asks_for_a_gpu_and_keeps_the_rest() -> None:
    container = the_container(gpu_set())
    assert container["resources"]["limits"] == {"memory": "8Gi", "nvidia.com/gpu": 1}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert [each["name"] for each in container["env"]] == ["MURMUR_NETWORK__PEER_NAME", "CUDA_CACHE_PATH"]


def stack() -> Manifest:
    return read(ROOT / "docker" / "stack.yml")


def test_stack_has_one_service_that_publishes_nothing() -> None:
    assert list(stack()["services"]) == ["peer"]
    assert not {"ports", "container_name", "depends_on", "build", "mem_limit", "cpus"} & set(
        stack()["services"]["peer"]
    )


def test_stack_finds_peers_by_name_and_gives_each_replica_a_volume() -> None:
    peer = stack()["services"]["peer"]
    filled_in = {key: value.replace("{{.Task.Slot}}", "3") for key, value in peer["environment"].items()}
    config = load_config([], filled_in, [])
    assert config.network.peer_name == "peer-3"
    assert config.network.dns == ("tasks.peer",)
    assert peer["deploy"]["endpoint_mode"] == "dnsrr"
    assert "{{.Task.Slot}}" in stack()["volumes"]["peer-data"]["name"]


def test_replicas_of_a_run_without_end_may_come_back_with_their_machine() -> None:
    """A peer that is stopped with its engine ends well, and `on-failure` leaves it down for good."""
    assert stack()["services"]["peer"]["deploy"]["restart_policy"]["condition"] == "${PEER_RESTART:-on-failure}"
    assert "PEER_RESTART=any" in (ROOT / "docs" / "deployment.md").read_text()


def test_what_prometheus_is_given_is_told_by_a_status() -> None:
    code = re.sub(r"#.*|\".*?\"", "", (ROOT / "deploy" / "prometheus" / "status.jq").read_text())
    fields = {*Status.__struct_fields__, *PeerStatus.__struct_fields__, *AdmissionStatus.__struct_fields__}
    counters = re.findall(r"\.counters\.(\w+)", code)
    told = {*re.findall(r"\.([a-z_]+)", code.replace(".counters.", ". "))} - {"slot", "running", "key", "value"}
    assert told - set(counters) <= fields
    guide = (ROOT / "docs" / "user-guide.md").read_text()
    assert not [name for name in counters if f"`{name}`" not in guide]
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert not [name for name in re.findall(r"swarm_\w+", code) if f"`{name}`" not in page]


def unit() -> Iterator[tuple[str, str]]:
    for line in (ROOT / "deploy" / "systemd" / "murmur-peer.service").read_text().splitlines():
        if match := re.fullmatch(r"(\w+)=(.*)", line):
            yield match[1], match[2]


def test_systemd_unit_sets_settings_of_a_peer() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(ROOT / "deploy" / "systemd" / "murmur-peer.service")
    assert parser.sections() == ["Unit", "Service", "Install"]
    environment = [value.replace("%l", "machine") for key, value in unit() if key == "Environment"]
    config = load_config([], settings_of(environment), [])
    assert config.network.peer_name == "machine"
    assert len(config.network.addresses) == 3
    assert config.storage.data_dir == f"/var/lib/{dict(unit())['StateDirectory']}"
    assert dict(unit())["ExecStart"].split()[1:2] == ["peer"]
