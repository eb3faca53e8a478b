"""The run's tasks, as the configuration lists them."""

from peer.config.schema import EnvConfig
from peer.types import EnvTask


def env_tasks(env: EnvConfig) -> tuple[EnvTask, ...]:
    """Return one task for each env variant, sorted by name; equal configurations give equal tasks."""
    return tuple(
        EnvTask(
            task_id=name,
            params=tuple(sorted(variant.params.items())),
            seed_start=variant.seeds[0],
            seed_end=variant.seeds[1],
        )
        for name, variant in sorted(env.variants.items())
    )
