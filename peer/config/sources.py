"""Where configuration comes from: files, `MURMUR_SECTION__KEY` variables, `section.key=value` overrides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from peer.config.describe import annotation_at, got, strip
from peer.config.likeness import nearest, surely_meant
from peer.config.schema import Config
from peer.config.tree import Branch, Leaf, Node, Origin, Path, merge, plain
from peer.config.yaml_tree import read_yaml
from peer.errors import ConfigError

ENV_PREFIX = "MURMUR_"
MAX_FILE_BYTES = 1_048_576
PRESETS_DIR = "configs"

_SECTION_DEPTH = 2
"""Files merge key by key inside a section; a value that is a mapping (env.variants) replaces as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Settings of a command, below all that its user gives. source: where they come from, in words for the user."""

    source: str
    lines: Sequence[str]


def read_sources(
    paths: Sequence[FilePath], env: Mapping[str, str], overrides: Sequence[str], *, base: Base | None = None
) -> Branch:
    """Read all sources and lay them over each other: the base, files in order, then environment, then overrides."""
    tree = Branch(origin=Origin(text="defaults"))
    layer = 0
    for path, node in [] if base is None else _read_lines(base.lines, source=base.source):
        tree = merge(tree, _nested(path, node), depth=len(path))
    for file in paths:
        layer += 1
        tree = merge(tree, _read_file(file, layer=layer), depth=_SECTION_DEPTH)
    for path, node in [*_read_env(env, layer=layer + 1), *_read_overrides(overrides, layer=layer + 2)]:
        tree = merge(tree, _nested(path, node), depth=len(path))
    return tree


def dotted_keys() -> tuple[str, ...]:
    """Return every `section.key` of the schema."""
    return tuple(
        f"{section}.{key}"
        for section, field in Config.model_fields.items()
        for key in getattr(field.annotation, "model_fields", ())
    )


def key_named(last: str) -> str | None:
    """Return the `section.key` that somebody means who names no section, or a wrong one; None when none is close."""
    by_last = {key.split(".")[1]: key for key in reversed(dotted_keys())}  # of equal ones, the first section's
    meant = surely_meant(last, by_last)
    return None if meant is None else by_last[meant]


def variable_name(dotted: str) -> str:
    """Return the environment variable of a dotted key: `round.train_s` -> `MURMUR_ROUND__TRAIN_S`."""
    return ENV_PREFIX + dotted.replace(".", "__").upper()


def _read_file(path: FilePath, *, layer: int) -> Branch:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        near = _nearest_file(path)
        hint = f"; did you mean {near}?" if near else "; check the path"
        raise ConfigError(f"{path}: no such file{hint}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{path}: cannot be read: {cause.lower()}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes: is this the configuration?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text (byte 0x{data[error.start]:02x})") from error
    node = read_yaml(text, source=str(path), layer=layer)
    if isinstance(node, Branch):
        return node
    if node.value is None:
        return Branch(origin=Origin(text=str(path), layer=layer))
    raise ConfigError(f"{node.origin.text}: expected sections such as 'round:', got {got(plain(node))}")


def _nearest_file(path: FilePath) -> FilePath | None:
    """Return the file beside `path` that was meant, else one of that name in the folder of the presets."""
    beside = {entry.stem: entry for entry in path.parent.glob("*.y*ml")} if path.parent.is_dir() else {}
    near = nearest(path.stem, beside)  # not by the whole name: every two have their ending in common
    if near is not None:
        return beside[near]
    preset = path.parent / PRESETS_DIR / path.name
    return preset if preset.is_file() else None


def _read_env(env: Mapping[str, str], *, layer: int) -> Iterator[tuple[Path, Node]]:
    """Yield what the environment sets. An empty variable counts as not set: `${X:-}` in a compose file."""
    misspelt = {variable_name(key).replace("__", "_"): variable_name(key) for key in dotted_keys()}
    for name in sorted(env):
        if not name.upper().startswith(ENV_PREFIX) or not env[name]:
            continue
        if "__" not in name:
            # Other programs use this prefix too (Kubernetes sets MURMUR_SERVICE_HOST for a service "murmur"),
            # so only what is clearly meant for us is an error.
            if (meant := misspelt.get(name.upper())) is not None:
                raise ConfigError(f"environment variable {name}: unknown; did you mean {meant}?")
            continue
        path = tuple(name[len(ENV_PREFIX) :].lower().split("__"))
        yield path, _shell_value(path, env[name], source=f"environment variable {name}", layer=layer)


def _read_overrides(overrides: Sequence[str], *, layer: int) -> Iterator[tuple[Path, Node]]:
    for text in overrides:
        key, separator, value = text.partition("=")
        path = tuple(key.strip().split("."))
        if not separator or not all(path) or len(path) < 2:
            meant = key_named(path[0]) if separator and len(path) == 1 and path[0] else None
            hint = f"; did you mean {meant}={value}?" if meant else ""
            raise ConfigError(f"command line: expected section.key=value, got {text!r}{hint}")
        yield path, _shell_value(path, value, source=f"command line {text!r}", layer=layer)


def _read_lines(lines: Sequence[str], *, source: str) -> Iterator[tuple[Path, Node]]:
    for line in lines:
        key, _, value = line.partition("=")
        path = tuple(key.split("."))
        yield path, _shell_value(path, value, source=source, layer=0)


def _shell_value(path: Path, text: str, *, source: str, layer: int) -> Node:
    """Parse a value from a shell, where quotes are lost: a key that takes text takes it as typed."""
    origin = Origin(text=source, layer=layer)
    wanted = annotation_at(Config, path)
    if wanted is not None and strip(wanted[0]) is str:
        return Leaf(value=text, origin=origin)
    return _at(read_yaml(text, source=source, layer=layer), origin)


def _at(node: Node, origin: Origin) -> Node:
    """Give the whole tree one origin: a line number means nothing in a variable."""
    if isinstance(node, Branch):
        return Branch(origin=origin, children={key: _at(child, origin) for key, child in node.children.items()})
    if isinstance(node.value, tuple):
        return Leaf(value=tuple(_at(item, origin) for item in node.value), origin=origin)
    return Leaf(value=node.value, origin=origin)


def _nested(path: Path, node: Node) -> Branch:
    for key in reversed(path):
        node = Branch(origin=node.origin, children={key: node})
    assert isinstance(node, Branch)  # a path has at least one part
    return node
