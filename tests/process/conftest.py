"""Processes for tests; whatever happens they end with the test."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.process.murmur import Murmur


@pytest.fixture
def murmur(tmp_path: Path) -> Iterator[Murmur]:
    with ExitStack() as stack:
        yield Murmur(tmp_path, stack)
