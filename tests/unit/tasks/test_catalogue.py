"""From the configuration's variants to tasks."""

from peer.config.schema import EnvConfig
from peer.tasks.catalogue import env_tasks
from peer.types import EnvTask


def test_variants_become_tasks_in_the_order_of_their_names() -> None:
    env = EnvConfig.model_validate({"variants": {"z": {"params": {"b": 2.0, "a": 1.0}, "seeds": (5, 9)}, "a": {}}})
    assert env_tasks(env) == (
        EnvTask(task_id="a", params=(), seed_start=0, seed_end=1_000_000),
        EnvTask(task_id="z", params=(("a", 1.0), ("b", 2.0)), seed_start=5, seed_end=9),
    )


def test_default_is_one_standard_task() -> None:
    assert [task.task_id for task in env_tasks(EnvConfig())] == ["standard"]
