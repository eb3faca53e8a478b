"""The configuration before it is typed: nested mappings whose every value remembers where it was written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Scalar = str | int | float | bool | None
Plain = Scalar | tuple["Plain", ...] | Mapping[str, "Plain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value came from, in words for the user: `configs/a.yaml:12`, or the name of a variable.

    layer: position of the source; a later source wins.
    """

    text: str
    layer: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A scalar or a list."""

    value: Scalar | tuple["Node", ...]
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A mapping; `origin` is where its key is, or where it begins if it has none."""

    origin: Origin
    children: dict[str, "Node"] = field(default_factory=dict)


Node = Leaf | Branch

Path = tuple[str, ...]


def plain(node: Node) -> Plain:
    """Return the bare values: mappings as dicts, lists as tuples."""
    if isinstance(node, Branch):
        return {key: plain(child) for key, child in node.children.items()}
    if isinstance(node.value, tuple):
        return tuple(plain(item) for item in node.value)
    return node.value


def find(node: Node, path: Path) -> tuple[Path, Node]:
    """Follow `path` as far as the tree goes; return the part that was followed, and the node there."""
    for depth, key in enumerate(path):
        child = _child(node, key)
        if child is None:
            return path[:depth], node
        node = child
    return path, node


def merge(low: Branch, high: Branch, *, depth: int) -> Branch:
    """Lay `high` over `low`: mappings merge down to `depth` levels; below that `high` replaces all."""
    children = dict(low.children)
    for key, node in high.children.items():
        under = children.get(key)
        if depth > 1 and isinstance(node, Branch) and isinstance(under, Branch):
            children[key] = merge(under, node, depth=depth - 1)
        elif depth > 1 and _is_null(node) and isinstance(under, Branch):
            continue  # a section heading with every key commented out changes nothing
        else:
            children[key] = node
    return Branch(origin=high.origin, children=children)


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Yield every node below `node` with its path, in the order written."""
    if isinstance(node, Branch):
        for key, child in node.children.items():
            yield (*path, key), child
            yield from walk(child, (*path, key))


def _child(node: Node, key: str) -> Node | None:
    if isinstance(node, Branch):
        return node.children.get(key)
    if isinstance(node.value, tuple) and key.isdecimal() and int(key) < len(node.value):
        return node.value[int(key)]
    return None


def _is_null(node: Node) -> bool:
    return isinstance(node, Leaf) and node.value is None
