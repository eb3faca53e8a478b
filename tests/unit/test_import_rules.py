"""Rules about imports that import-linter cannot express: the extension is no module to it, and files have patterns."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "peer").rglob("*.py"))


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(_imported(path))


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: imports are absolute"
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _users_of(module: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in SOURCES
        if any(name == module or name.startswith(f"{module}.") for name in _imports(path))
    }


def test_the_scan_sees_the_sources() -> None:
    assert len(SOURCES) > 80
    assert "peer/services/conductor.py" in _users_of("trio")


def test_only_native_imports_the_cpp_core() -> None:
    assert _users_of("peer._core") == {"peer/native.py"}


def test_only_the_libp2p_files_import_libp2p() -> None:
    users = _users_of("libp2p") | _users_of("multiaddr")
    assert users
    assert all(user.startswith("peer/network/libp2p_") for user in users), sorted(users)


@pytest.mark.parametrize("module", ["torch", "pickle", "marshal", "shelve", "dill", "cloudpickle"])
def test_nobody_imports_what_runs_code_or_weighs_too_much(module: str) -> None:
    assert _users_of(module) == set()


@pytest.mark.parametrize("package", ["rounds", "aggregation", "tasks", "membership", "codec", "wire"])
@pytest.mark.parametrize("module", ["trio", "socket", "time", "random", "logging", "os", "threading", "datetime"])
def test_islands_stay_pure(package: str, module: str) -> None:
    assert not [user for user in _users_of(module) if user.startswith(f"peer/{package}/")]
