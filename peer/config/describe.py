"""Put into words what a key accepts, and what came instead."""

import math
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from peer.config.tree import Path, Plain

Annotation = Any  # typing's special forms (Annotated, unions, Literal) have no common static type

_MAX_SHOWN = 60


def expected(annotation: Annotation, metadata: Iterable[object] = ()) -> str:
    """Say in words which values an annotation of the schema allows."""
    metadata = _flat(metadata)
    for item in metadata:
        if isinstance(item, FieldInfo) and item.description:
            return item.description
    origin, args = _parts(annotation)
    if origin is Annotated:
        return expected(args[0], [*args[1:], *metadata])
    if origin in (Union, UnionType):
        words = [expected(arg) for arg in args if arg is not NoneType]
        return " or ".join([*words, *(["null"] if NoneType in args else [])])
    if origin is Literal:
        choices = ", ".join(str(choice) for choice in args)
        return choices if len(args) == 1 else f"one of {choices}"
    return _plain_type(annotation, origin, args) + _limits(metadata, sized=origin is not None)


def got(value: Plain) -> str:
    """Say what came: the value, shortened, and its kind."""
    if value is None:
        return "nothing (null)"
    text = repr(list(value)) if isinstance(value, tuple) else repr(value)
    if isinstance(value, bool):
        text = text.lower()
    elif isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    elif isinstance(value, float):
        text = {math.inf: "infinity", -math.inf: "-infinity"}.get(value, text.replace("nan", "NaN"))
    if len(text) > _MAX_SHOWN:
        text = text[:_MAX_SHOWN] + "..."
    kinds = {str: "text", bool: "true/false", int: "a whole number", float: "a number", tuple: "a list"}
    return f"{text} ({kinds[type(value)]})"


def dotted(path: Path) -> str:
    """Return `section.key` fit for a terminal: a hostile key name is shortened and escaped."""
    text = ".".join(key if len(key) <= _MAX_SHOWN else key[:_MAX_SHOWN] + "..." for key in path)
    return text if text.isprintable() else ascii(text)[1:-1]


def names(valid: Iterable[str]) -> str:
    return ", ".join(sorted(valid)) or "none"


def annotation_at(model: type[BaseModel], path: Path) -> tuple[Annotation, tuple[object, ...]] | None:
    """Return annotation and constraints of the value at `path`, or None where the schema has no such key."""
    annotation: Annotation = model
    metadata: tuple[object, ...] = ()
    for key in path:
        below = _below(annotation, key)
        if below is None:
            return None
        annotation, metadata = below
    return annotation, metadata


def is_open_mapping(model: type[BaseModel], path: Path) -> bool:
    """Tell whether the names below `path` are the user's own, as those of variants are."""
    found = annotation_at(model, path)
    origin = None if found is None else _parts(strip(found[0]))[0]
    return isinstance(origin, type) and issubclass(origin, Mapping)


def holds_mapping(model: type[BaseModel], path: Path) -> bool:
    """Tell whether a mapping belongs at `path`: a section, or one with names of the user's own."""
    found = annotation_at(model, path)
    annotation = None if found is None else strip(found[0])
    return is_open_mapping(model, path) or (isinstance(annotation, type) and issubclass(annotation, BaseModel))


def strip(annotation: Annotation) -> Annotation:
    """Return the annotation without `Annotated` around it."""
    origin, args = _parts(annotation)
    return strip(args[0]) if origin is Annotated else annotation


def choices(annotation: Annotation) -> tuple[str, ...]:
    """Return the words that an annotation allows, such as auto, cpu and cuda."""
    origin, args = _parts(strip(annotation))
    if origin is Literal:
        return tuple(str(choice) for choice in args)
    return tuple(word for arg in args for word in choices(arg)) if origin in (Union, UnionType) else ()


def _parts(annotation: Annotation) -> tuple[Annotation, tuple[Annotation, ...]]:
    return get_origin(annotation), get_args(annotation)


def _below(annotation: Annotation, key: str) -> tuple[Annotation, tuple[object, ...]] | None:
    annotation = strip(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(key)
        return None if field is None else (field.annotation, (field, *field.metadata))
    origin, args = _parts(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return args[1], ()
    if origin is tuple and key.isdecimal():
        return args[0], ()
    return None


def _plain_type(annotation: Annotation, origin: Annotation, args: tuple[Annotation, ...]) -> str:
    if origin is tuple:
        count = "" if Ellipsis in args else f" of {len(args)}"
        return f"a list{count}, each entry {expected(args[0])}{',' if Ellipsis in args else ''}"
    if (isinstance(origin, type) and issubclass(origin, Mapping)) or hasattr(annotation, "model_fields"):
        return "a mapping (name: value)"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[annotation]


def _flat(metadata: Iterable[object]) -> list[object]:
    """Take constraints out of the `Field(...)` objects that hold them inside unions and lists."""
    return [part for item in metadata for part in ([item, *item.metadata] if isinstance(item, FieldInfo) else [item])]


def _number(bound: object) -> str:
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _limits(metadata: Iterable[object], *, sized: bool) -> str:
    low = high = ""
    for item in metadata:
        match item:
            case annotated_types.Ge(ge=bound):
                low = f"from {_number(bound)}"
            case annotated_types.Gt(gt=bound):
                low = f"above {_number(bound)}"
            case annotated_types.Le(le=bound):
                high = f"to {_number(bound)}" if low.startswith("from") else f"up to {_number(bound)}"
            case annotated_types.Lt(lt=bound):
                high = f"below {_number(bound)}"
            case annotated_types.MinLen(min_length=count):
                low = f"with at least {count}"
            case annotated_types.MaxLen(max_length=count):
                high = f"and at most {count}" if low else f"with at most {count}"
    unit = (" entries" if sized else " characters") if "with" in low + high else ""
    joint = " and " if low and high.startswith("below") else " "
    return f" {low}{joint if low and high else ''}{high}".rstrip() + unit if low or high else ""
