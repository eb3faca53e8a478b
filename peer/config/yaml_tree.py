"""Read YAML text into a tree that remembers lines, and refuse what a configuration has no use for.

PyYAML's own constructor is not used, for three reasons: it keeps the last of two equal keys without a word;
it reads YAML 1.1, where `1e-3` is text, `no` is false, `12:30` is 750 and `010` is 8; and it expands aliases,
which lets a small file fill the memory. Scalars here follow the core schema of YAML 1.2 (section 10.3.2),
plus `_` between digits of whole numbers.
"""

import re
from dataclasses import replace
from typing import Never

import yaml

from peer.config.tree import Branch, Leaf, Node, Origin, Scalar
from peer.errors import ConfigError

MAX_DEPTH = 16
MAX_DIGITS = 40
"""Longer whole numbers fit no key, and converting them costs quadratic time."""

_INT = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_HEX_OR_OCTAL = re.compile(r"0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}


def read_yaml(text: str, *, source: str, layer: int) -> Node:
    """Parse one YAML document; an empty one is null.

    source: what messages call the text, a file name or the name of a variable.
    Raises: ConfigError with source, line and cause.
    """
    reader = _Reader(text, source=source, layer=layer)
    try:
        return reader.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f":{mark.line + 1}"
        raise ConfigError(f"{source}{line}: not valid YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line_number = text.count("\n", 0, error.position) + 1
        raise ConfigError(
            f"{source}:{line_number}: not valid YAML: character {error.character!r} is not allowed"
        ) from error


def parse_scalar(text: str) -> Scalar:
    """Return the value of an unquoted scalar by YAML 1.2's core schema."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text)
    if _HEX_OR_OCTAL.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text, 0)
    if _FLOAT.fullmatch(text) and len(text) <= MAX_DIGITS:
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text


class _Reader:
    """Builds nodes from the parser's events; its depth is bounded, so hostile nesting costs nothing."""

    def __init__(self, text: str, *, source: str, layer: int) -> None:
        self._events = yaml.parse(text, Loader=yaml.SafeLoader)
        self._source = source
        self._layer = layer

    def document(self) -> Node:
        next(self._events)  # stream start
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return Leaf(value=None, origin=self._origin(event))
        node = self._node(next(self._events), depth=0)
        next(self._events)  # document end
        event = next(self._events)
        if not isinstance(event, yaml.StreamEndEvent):
            self._refuse(event, "expected one YAML document, found a second ('---')")
        return node

    def _node(self, event: yaml.Event, *, depth: int) -> Node:
        self._refuse_decoration(event)
        if depth > MAX_DEPTH:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(event, depth=depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(event, depth=depth)
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "expected a value")
        quoted = event.style is not None
        return Leaf(value=event.value if quoted else parse_scalar(event.value), origin=self._origin(event))

    def _mapping(self, start: yaml.Event, *, depth: int) -> Branch:
        branch = Branch(origin=self._origin(start))
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, "a key must be a plain name, not a list, mapping or alias")
            self._refuse_decoration(event)
            key = event.value
            if key in branch.children:
                first = branch.children[key].origin.text
                self._refuse(event, f"key {key!r} is given twice (first at {first}): keep one")
            node = self._node(next(self._events), depth=depth + 1)
            branch.children[key] = replace(node, origin=self._origin(event))  # a value may begin on a later line
        return branch

    def _sequence(self, start: yaml.Event, *, depth: int) -> Leaf:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth=depth + 1))
        return Leaf(value=tuple(items), origin=self._origin(start))

    def _refuse_decoration(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            self._refuse(event, "anchors and aliases ('&', '*') are not supported: write the value out")
        if (tag := getattr(event, "tag", None)) is not None:
            self._refuse(event, f"tags are not supported: remove {tag!r}")

    def _origin(self, event: yaml.Event) -> Origin:
        line = "" if event.start_mark is None else f":{event.start_mark.line + 1}"
        return Origin(text=f"{self._source}{line}", layer=self._layer)

    def _refuse(self, event: yaml.Event, cause: str) -> Never:
        raise ConfigError(f"{self._origin(event).text}: {cause}")
