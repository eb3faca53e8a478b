"""How the configuration names an environment that is written in Python: by module and id, as Gymnasium does."""

GYMNASIUM = "gymnasium"
"""The module of the environments that come with Gymnasium itself."""


def is_python_env(name: str) -> bool:
    """Say whether `name` is one, such as "gymnasium:LunarLander-v3"; the core's own have no module."""
    return ":" in name


def module_of(name: str) -> str:
    """Return the module that registers the environment with Gymnasium when it is imported."""
    return name.partition(":")[0]


def imports_foreign_module(name: str) -> bool:
    """Say whether to use the environment runs code that neither this project nor Gymnasium brings."""
    return is_python_env(name) and module_of(name) != GYMNASIUM
