"""The committed stub names what the compiled module has, no more and no less; importing it stays light."""

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import peer.native
from peer import _core
from peer.native import PpoConfig, PpoSettings

STUB = Path(peer.native.__file__).with_name("_core.pyi")


def stub_members() -> dict[str, set[str]]:
    """Map "" to the stub's top-level names and each class to its members."""
    tree = ast.parse(STUB.read_text())
    members: dict[str, set[str]] = {"": set()}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            members[""].add(node.name)
        if isinstance(node, ast.AnnAssign):
            members[""].add(ast.unparse(node.target))
        if isinstance(node, ast.ClassDef):
            methods = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
            fields = {ast.unparse(item.target) for item in node.body if isinstance(item, ast.AnnAssign)}
            members[node.name] = methods | fields
    return members


def test_stub_top_level_names_are_those_of_the_module() -> None:
    public = {name for name in dir(_core) if not name.startswith("_")}
    assert stub_members()[""] == public


def test_stub_members_are_those_of_the_classes() -> None:
    for class_name, stub in stub_members().items():
        if not class_name or issubclass(getattr(_core, class_name), Exception):
            continue
        real = {name for name in vars(getattr(_core, class_name)) if not name.startswith("_")}
        assert stub - {"__init__"} == real, class_name


def described(member: object) -> bool:
    """Return whether its docstring says more than the signature, which pybind11 writes by itself."""
    return any(line.strip() and " -> " not in line for line in (member.__doc__ or "").splitlines())


def test_everything_in_the_module_is_documented() -> None:
    for class_name, members in stub_members().items():
        owner = getattr(_core, class_name) if class_name else _core
        for name in members - {"__init__"}:
            assert described(getattr(owner, name)), f"{class_name}.{name}"


def test_settings_mirror_the_core_field_by_field() -> None:
    core = PpoConfig()
    fields = {field.name: getattr(PpoSettings(), field.name) for field in dataclasses.fields(PpoSettings)}
    assert set(fields) == {name for name in dir(core) if not name.startswith("_")}
    for name, value in fields.items():
        default = getattr(core, name)
        assert (tuple(default) if isinstance(default, list) else default) == value, name


def test_importing_the_core_never_imports_python_torch() -> None:
    program = "import sys, peer.agents.native_agent; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
