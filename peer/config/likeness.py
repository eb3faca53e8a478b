"""Find the name that was probably meant: by the words in it and their abbreviations first, by its letters last."""

import difflib
import re
from collections.abc import Iterable

_ALIKE = 0.6
"""Share of letters in common, in order, from which a name beside it may be meant: difflib's own default."""

_NEARLY_THE_SAME = 0.85
"""The same for names that are looked for far from where one was typed: a few letters off, and no more."""


_ELSEWHERE = {
    "anneal_lr": "lr_schedule",  # CleanRL, PufferLib
    "bptt_horizon": "rollout_steps",  # PufferLib
    "clip_coef": "clip_range",  # CleanRL, PufferLib
    "clip_epsilon": "clip_range",  # TorchRL
    "clip_obs": "observation_clip",  # Stable-Baselines3
    "clip_param": "clip_range",  # RLlib
    "clip_range_vf": "value_clip_range",  # Stable-Baselines3
    "clip_reward": "reward_clip",  # Stable-Baselines3
    "eps_clip": "clip_range",  # Tianshou
    "fcnet_hiddens": "hidden",  # RLlib
    "gpu": "cuda",
    "grad_clip": "max_grad_norm",  # RLlib
    "hidden_sizes": "hidden",  # Spinning Up, Tianshou
    "kl_coeff": "kl_penalty",  # RLlib
    "kl_target": "target_kl",  # RLlib
    "log_std_init": "init_log_std",  # Stable-Baselines3
    "net_arch": "hidden",  # Stable-Baselines3
    "num_sgd_iter": "epochs",  # RLlib
    "num_steps": "rollout_steps",  # CleanRL
    "num_threads": "threads",
    "horizon": "rollout_steps",
    "vf_clip_coef": "value_clip_range",  # PufferLib
    "vf_clip_param": "value_clip_range",  # RLlib
}
"""What other trainers call the same, where their words would find another key."""


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that `name` was most likely meant to be, or None when nothing is close."""
    by_lower = _by_lower(valid)
    typed = name.lower()
    if (elsewhere := _ELSEWHERE.get(typed, typed)) in by_lower:
        return by_lower[elsewhere]
    found = _spelt_out(typed, by_lower) or _with_such_words(typed, by_lower) or _alike(typed, by_lower, _ALIKE)
    return by_lower[found] if found else None


def surely_meant(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that differs from `name` by a slip of the keys at most, is abbreviated by it, or is what
    another trainer calls so.
    """
    by_lower = _by_lower(valid)
    typed = name.lower()
    typed = _ELSEWHERE.get(typed, typed)
    found = _spelt_out(typed, by_lower) or _alike(typed, by_lower, _NEARLY_THE_SAME)
    return by_lower[found] if found else None


def _by_lower(valid: Iterable[str]) -> dict[str, str]:
    return {candidate.lower(): candidate for candidate in sorted(valid)}


def _spelt_out(typed: str, valid: Iterable[str]) -> str | None:
    """Return the name itself, else the one whose words begin with its letters: `lr` is `learning_rate`."""
    names = list(valid)
    if typed in names:
        return typed
    return next((name for name in names if len(typed) > 1 and typed == "".join(w[0] for w in _words(name))), None)


def _with_such_words(typed: str, valid: Iterable[str]) -> str | None:
    """Return the name that has all words of `typed` in this order, whole or abbreviated: `ent_coef`, `lambda`."""
    wanted = _words(typed)
    if all(len(word) < 2 for word in wanted):
        return None
    found = [name for name in valid if _has_words(_words(name), wanted)]
    return max(found, key=lambda name: difflib.SequenceMatcher(None, typed, name).ratio(), default=None)


def _has_words(words: list[str], wanted: list[str]) -> bool:
    rest = iter(words)
    return all(any(word.startswith(short) for word in rest) for short in wanted)


def _alike(typed: str, valid: Iterable[str], cutoff: float) -> str | None:
    return next(iter(difflib.get_close_matches(typed, list(valid), n=1, cutoff=cutoff)), None)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name) if word]
