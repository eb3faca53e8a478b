"""When to evaluate, in env steps: the clock has no say, so that the same seed stops at the same step everywhere."""

from collections.abc import Callable

FIRST_EVAL_ENV_STEPS = 4096
"""Small tasks are solved within a few of these."""

_GROWTH_DIVISOR = 20
"""Later evaluations come after every 1/20 more: their cost and number stay small in runs of any length."""

EvalSchedule = Callable[[int], int]
"""Takes the env steps of an evaluation, returns those of the next one, which are more."""


def growing(env_steps: int) -> int:
    """Return the env steps of the next evaluation: 4096 more at first, later 5 % more."""
    return env_steps + max(FIRST_EVAL_ENV_STEPS, env_steps // _GROWTH_DIVISOR)


def every(interval: int) -> EvalSchedule:
    """Return the schedule that evaluates every `interval` env steps. Raises: ValueError below 1."""
    if interval < 1:
        raise ValueError(f"evaluations need an interval of at least 1 env step, got {interval}")
    return lambda env_steps: env_steps + interval
