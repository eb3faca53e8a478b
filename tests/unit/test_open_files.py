"""Connections are not to be refused for a limit that this very user may raise."""

import resource
from collections.abc import Iterator

import pytest

from peer.open_files import permitted_files, raise_open_files


@pytest.fixture(autouse=True)
def limits() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_limit_is_raised_as_far_as_is_allowed_and_useful(limits: tuple[int, int]) -> None:
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    raise_open_files()
    soft, still = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == permitted_files() == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))
    assert still == hard


def test_limit_that_is_higher_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.open_files._AMPLE", 300)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_open_files()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft
