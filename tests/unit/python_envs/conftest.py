"""Tests share the process, and with it the environments that are kept for whoever needs some next."""

import pytest

from peer.python_envs import registration


@pytest.fixture(autouse=True)
def no_environment_of_another_test() -> None:
    for kind in registration._registered.values():
        kind.idle.clear()
