"""A configuration as `section.key=value` overrides: what it takes to say it again on a command line."""

import json
from collections.abc import Sequence

from peer.config.describe import annotation_at, choices, strip
from peer.config.schema import Config


def differing(config: Config, *, bases: Sequence[Config]) -> tuple[str, ...]:
    """Return an override for every value of `config` that any of `bases` has otherwise.

    Read over any one of `bases`, they give `config` again.
    """
    values, others = config.model_dump(mode="json"), [base.model_dump(mode="json") for base in bases]
    return tuple(
        f"{section}.{key}={_text(section, key, value)}"
        for section, keys in values.items()
        for key, value in keys.items()
        if any(other[section][key] != value for other in others)
    )


def _text(section: str, key: str, value: object) -> str:
    """Return `value` as a shell's reader takes it: a key of plain text takes all as typed, others take YAML."""
    wanted = annotation_at(Config, (section, key))
    assert wanted is not None
    if isinstance(value, str) and strip(wanted[0]) is str:
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text[1:-1] if isinstance(value, str) and value in choices(wanted[0]) else text
