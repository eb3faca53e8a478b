"""py-libp2p's log noise stays out of a peer's log, and everybody else's messages stay in."""

import logging
from collections.abc import Iterator
from pathlib import Path

import libp2p
import pytest

from peer.network.libp2p_logging import quiet_libp2p_logging


@pytest.fixture
def log() -> Iterator[list[str]]:
    """What a handler on the root logger receives."""
    received: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            received.append(record.getMessage())

    root, noisy = logging.getLogger(), logging.getLogger("libp2p")
    before = root.filters[:], root.level, noisy.propagate
    handler = Keep()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield received
    root.removeHandler(handler)
    root.filters[:], root.level, noisy.propagate = before


def log_from(path: str, message: str) -> None:
    """Log through the root logger as a function in the file `path` would."""
    exec(compile(f"import logging; logging.warning({message!r})", path, "exec"), {})


def test_quiet_silences_libp2p_on_its_own_loggers_and_on_the_root_logger(log: list[str]) -> None:
    swarm_file = str(Path(libp2p.__file__).parent / "network" / "swarm.py")
    log_from(swarm_file, "noise before")
    assert log == ["noise before"]
    quiet_libp2p_logging()
    quiet_libp2p_logging()
    log_from(swarm_file, "noise")
    logging.getLogger("libp2p.network.swarm").error("noise")
    logging.getLogger("libp2p.network.auto_connector").info("noise of a logger with its own level")
    logging.getLogger("peer.node").warning("ours")
    log_from("/somewhere/else.py", "theirs")
    assert log == ["noise before", "ours", "theirs"]
