"""What all peers of a run must have equal, as one digest that the handshake compares.

Equal:
- the run's name and seed, the env and its variants, the model, and when to stop;
- the rules of a round that every peer recomputes: who counts as gone, whether a minority goes on, which of two chains
  replaces the other, how much history is kept, when to evaluate;
- how deltas become the next model;
- the learning settings that say what the model's numbers mean: `gamma` (what the critic estimates), the two
  normalisations (whether the merged statistics are applied), and where what they give is cut off.

Free to differ:
- compute, network, storage and log: a machine's own affair;
- the round's timers, `snapshot_every` and `stop.linger_s`: they run on each peer's own clock and disk;
- the codec: each delta names its own;
- the other PPO settings, learning rate included: a delta is a delta however it was learned, and peers that explore
  differently can help.
"""

import hashlib
import json
from dataclasses import dataclass

from peer.config.schema import Config
from peer.types import Digest

AGREED_KEYS: dict[str, tuple[str, ...]] = {
    "run": ("name", "seed"),
    "env": ("name", "variants"),
    "model": (
        "hidden",
        "activation",
        "shared_trunk",
        "init_hidden_gain",
        "init_policy_gain",
        "init_value_gain",
        "init_log_std",
    ),
    "ppo": ("gamma", "normalize_observations", "observation_clip", "normalize_rewards", "reward_clip"),
    "round": ("miss_limit", "partition", "merge", "staleness_limit", "eval_every"),
    "aggregation": (
        "rule",
        "clip",
        "assumed_bad",
        "bucket_size",
        "weights",
        "outer",
        "outer_lr",
        "outer_momentum",
        "outer_beta2",
        "outer_epsilon",
    ),
    "stop": ("mean_return", "episodes", "seed", "max_rounds"),
}

_HINT_BYTES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """How an `agreed_text` differs from a configuration.

    changed: agreed keys that both have, with other values. missing: those that the text has not, as a version wrote it
    that did not know them yet: nobody has set them. has_unknown: whether it has keys that this version does not know.
    """

    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    has_unknown: bool = False

    @property
    def is_of_other_keys(self) -> bool:
        """Whether another version wrote the text: whatever is set, this one gives it another digest."""
        return bool(self.missing) or self.has_unknown


def digest(config: Config) -> Digest:
    """Return SHA-256 over the agreed keys. Equal configurations give equal bytes on every machine."""
    text = "murmuration config 1\n" + agreed_text(config)
    return Digest(hashlib.sha256(text.encode()).digest())


def run_id(config: Config) -> Digest:
    """Return the id that every signed object of the run carries: SHA-256 of the run's name.

    Only the name, so that a peer with the right name and other settings is met and told why it is refused.
    """
    return Digest(hashlib.sha256(b"murmuration run 1\n" + config.run.name.encode()).digest())


def agreed_text(config: Config) -> str:
    """Return the agreed keys as canonical JSON; two peers that disagree can compare these texts."""
    return _canonical(_agreed(config))


def differences(told: str, config: Config) -> Differences | None:
    """Return in what `told`, an `agreed_text`, differs from `config`; None where it is nothing that can be read."""
    try:
        other = _flat(json.loads(told))
    except (ValueError, AttributeError, RecursionError):
        return None
    own = _flat(json.loads(agreed_text(config)))
    return Differences(
        changed=tuple(key for key, value in own.items() if key in other and other[key] != value),
        missing=tuple(key for key in own if key not in other),
        has_unknown=bool(other.keys() - own.keys()),
    )


def section_hints(config: Config) -> bytes:
    """Return 2 bytes for each section of AGREED_KEYS, to tell where two configurations differ; `digest` decides."""
    agreed = _agreed(config)
    return b"".join(
        hashlib.sha256(f"{section} {_canonical(agreed[section])}".encode()).digest()[:_HINT_BYTES]
        for section in AGREED_KEYS
    )


def differing_sections(own: bytes, other: bytes) -> tuple[str, ...]:
    """Return the sections in which two `section_hints` differ; none when `other` is not of the same length."""
    if len(own) != len(other):
        return ()
    starts = range(0, len(own), _HINT_BYTES)
    return tuple(
        section
        for section, start in zip(AGREED_KEYS, starts, strict=False)  # whoever gives no hints has fewer
        if own[start : start + _HINT_BYTES] != other[start : start + _HINT_BYTES]
    )


def _flat(settings: dict[str, dict[str, object]]) -> dict[str, object]:
    """Return the values by section.key, in the order of AGREED_KEYS. Raises: AttributeError where there are none."""
    found = {f"{section}.{key}": value for section, values in settings.items() for key, value in values.items()}
    known = [f"{section}.{key}" for section, keys in AGREED_KEYS.items() for key in keys]
    return {key: found[key] for key in (*known, *found) if key in found}


def _agreed(config: Config) -> dict[str, dict[str, object]]:
    values = config.model_dump(mode="json")
    return {section: {key: values[section][key] for key in keys} for section, keys in AGREED_KEYS.items()}


def _canonical(values: dict[str, object] | dict[str, dict[str, object]]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
