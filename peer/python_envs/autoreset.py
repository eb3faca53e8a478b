"""How environments that step together begin their next episodes: https://farama.org/Vector-Autoreset-Mode."""

from gymnasium.vector import AutoresetMode

from peer.python_envs.spaces import BatchEnv


def autoreset_mode_of(env: BatchEnv) -> AutoresetMode:
    """Raises: ValueError when the environment names none that Gymnasium knows."""
    told = env.metadata.get("autoreset_mode")
    try:
        return AutoresetMode(told)
    except ValueError:
        names = ", ".join(f"AutoresetMode.{mode.name}" for mode in AutoresetMode)
        raise ValueError(
            f'it must say how it begins the next episodes: metadata["autoreset_mode"] is one of {names}, got {told!r}'
        ) from None
