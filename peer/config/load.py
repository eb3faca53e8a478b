"""Turn files, environment variables and command-line overrides into one validated `Config`."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ValidationError

from peer.config import tree
from peer.config.describe import (
    Annotation,
    annotation_at,
    choices,
    dotted,
    expected,
    got,
    holds_mapping,
    is_open_mapping,
    names,
    strip,
)
from peer.config.envs import EnvCatalogue, EnvSpec
from peer.config.likeness import nearest, surely_meant
from peer.config.schema import Config
from peer.config.sources import Base, dotted_keys, key_named, read_sources
from peer.errors import ConfigError

MAX_PROBLEMS = 8


def load_config(
    paths: Sequence[Path],
    env: Mapping[str, str],
    overrides: Sequence[str],
    *,
    base: Base | None = None,
    known_envs: EnvCatalogue | None = None,
) -> Config:
    """Return the configuration: defaults < base < files in order < `MURMUR_SECTION__KEY` < `section.key=value`.

    known_envs: the environments there are; None leaves env.name and the variants' params unchecked.
    Raises: ConfigError whose message has one line a problem: place, key, what was expected, what came, what
    was probably meant.
    """
    root = read_sources(paths, env, overrides, base=base)
    _raise_any(_unknown_keys(root))
    try:
        config = Config.model_validate(_without_empty_headings(root))
    except ValidationError as error:
        _raise_any(_invalid_values(root, error))
        raise  # an error of a kind we have no words for: still an error
    if known_envs is not None:
        _raise_any(_unknown_envs(root, config, known_envs))
    return config


def _raise_any(problems: Iterator[str]) -> None:
    found = list(dict.fromkeys(problems))
    if found:
        more = [f"... and {len(found) - MAX_PROBLEMS} more"] if len(found) > MAX_PROBLEMS else []
        raise ConfigError("\n".join(found[:MAX_PROBLEMS] + more))


def _unknown_keys(root: tree.Branch) -> Iterator[str]:
    for path, node in tree.walk(root):
        parent = annotation_at(Config, path[:-1])
        if parent is None or annotation_at(Config, path) is not None:
            continue  # the parent was reported already, or all is well
        model = strip(parent[0])
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            continue  # a mapping where a plain value belongs: reported with the values
        hint = _suggestion(path, tuple(model.model_fields))
        yield f"{node.origin.text}: {dotted(path)}: unknown key; {hint}"


def _suggestion(path: tree.Path, siblings: tuple[str, ...]) -> str:
    prefix = dotted(path[:-1])
    place = f"keys of {prefix}" if prefix else "sections"
    if (below := _below_a_section(path)) is not None:
        return f"did you mean {below}?"
    near = nearest(path[-1], siblings)
    if near is not None:
        return f"did you mean {dotted((*path[:-1], near))}?"
    elsewhere = _key_elsewhere(path)
    return f"did you mean {elsewhere}?" if elsewhere else f"the {place} are {names(siblings)}"


def _below_a_section(path: tree.Path) -> str | None:
    """Say how a key of a file is written that was written as on the command line, `ppo.gamma: 0.9`."""
    section, dot, key = path[0].partition(".")
    if len(path) > 1 or not dot or section not in Config.model_fields:
        return None
    near = nearest(key, [each.partition(".")[2] for each in dotted_keys() if each.startswith(f"{section}.")])
    return f"{near}: below {section}:" if near else None


def _key_elsewhere(path: tree.Path) -> str | None:
    return key_named(path[-1]) or surely_meant(".".join(path), dotted_keys())


def _invalid_values(root: tree.Branch, error: ValidationError) -> Iterator[str]:
    problems = [(tuple(str(part) for part in each["loc"]), each) for each in error.errors(include_url=False)]
    places = {tree.find(root, location)[0] for location, _ in problems}
    for location, problem in problems:
        path, node = tree.find(root, location)
        if problem["type"] == "broken_rule":
            keys = problem["ctx"]["keys"]
            yield f"{_latest(root, path, keys).text}: {dotted((*path, keys[0]))}: {problem['ctx']['text']}"
            continue
        if location[-1:] == ("[key]",):
            path, node = tree.find(root, location[:-1])
            yield f"{node.origin.text}: {dotted(path)}: bad name; expected 1 to 48 of a-z, 0-9 and '-'"
            continue
        if any(place != path and place[: len(path)] == path for place in places):
            continue  # the entry at fault is named by a problem of its own
        wanted = annotation_at(Config, path)
        assert wanted is not None  # unknown keys were refused before
        yield (
            f"{node.origin.text}: {dotted(path)}: expected {expected(*wanted)}, got {got(tree.plain(node))}"
            + (f"; {problem['ctx']['why']}" if problem["type"] == "unfit" else _near_choice(wanted[0], node))
        )


def _near_choice(annotation: Annotation, node: tree.Node) -> str:
    value = tree.plain(node)
    near = nearest(value, choices(annotation)) if isinstance(value, str) else None
    return f"; did you mean {near}?" if near else ""


def _latest(root: tree.Branch, section: tree.Path, keys: Sequence[str]) -> tree.Origin:
    """Return where the last of `keys` was set: the source that the user changed most recently."""
    _, node = tree.find(root, section)
    assert isinstance(node, tree.Branch)
    given = [node.children[key].origin for key in keys if key in node.children]
    return max(given, key=lambda origin: origin.layer, default=node.origin)


def _unknown_envs(root: tree.Branch, config: Config, known: EnvCatalogue) -> Iterator[str]:
    name = config.env.name
    _, node = tree.find(root, ("env", "name"))
    where = f"{node.origin.text}: env.name"
    try:
        spec = known.find(name, vectorized=config.env.vectorized)
    except ValueError as error:
        yield f"{where}: {name} cannot be used: {error}"
        return
    if spec is None:
        near = nearest(name, known.names)
        hint = f"; did you mean {near}?" if near else ""
        yield (
            f"{where}: unknown env {name!r}{hint} (known: {names(known.names)}; those of Gymnasium as module:id, such"
            " as gymnasium:LunarLander-v3)"
        )
        return
    yield from _unknown_params(root, config, spec)
    if spec.max_envs is not None:
        yield from _too_many_envs(root, config, spec.max_envs)


def _unknown_params(root: tree.Branch, config: Config, spec: EnvSpec) -> Iterator[str]:
    for variant, settings in config.env.variants.items():
        for param, value in settings.params.items():
            path, node = tree.find(root, ("env", "variants", variant, "params", param))
            where = f"{node.origin.text}: {dotted(path)}"
            limits = spec.params.get(param)
            if limits is None:
                near = nearest(param, spec.params)
                hint = f"did you mean {near}?" if near else f"its parameters are {names(spec.params)}"
                yield f"{where}: {config.env.name} has no parameter {param!r}; {hint}"
            elif not limits.low <= value <= limits.high:
                yield f"{where}: expected a number from {limits.low} to {limits.high}, got {value}"
            elif limits.is_whole and value != int(value):
                yield f"{where}: expected a whole number, got {value}"


def _too_many_envs(root: tree.Branch, config: Config, most: int) -> Iterator[str]:
    for path, count in ((("ppo", "num_envs"), config.ppo.num_envs), (("stop", "episodes"), config.stop.episodes)):
        if count > most:
            _, node = tree.find(root, path)
            yield (
                f"{node.origin.text}: {dotted(path)}: expected at most {most}, as {config.env.name} runs in Python,"
                f" got {count}"
            )


def _without_empty_headings(node: tree.Node, path: tree.Path = ()) -> tree.Plain:
    """Return bare values; a heading with nothing under it (every key commented out) means its defaults."""
    if isinstance(node, tree.Leaf):
        return tree.plain(node)
    named_by_user = is_open_mapping(Config, path)
    values: dict[str, tree.Plain] = {}
    for key, child in node.children.items():
        empty = isinstance(child, tree.Leaf) and child.value is None and holds_mapping(Config, (*path, key))
        if not empty:
            values[key] = _without_empty_headings(child, (*path, key))
        elif named_by_user:
            values[key] = {}
    return values
