"""Silence py-libp2p: it logs every closed stream, in part through the root logger, in part with tracebacks."""

import logging


def quiet_libp2p_logging() -> None:
    """Keep everything that py-libp2p logs out of the process's log. Call it at the start; twice is harmless.

    What matters of it reaches the log by another way: as causes in events and errors, and as counters.
    """
    for name in ("libp2p", "multiaddr"):
        logger = logging.getLogger(name)
        logger.propagate = False  # some of its loggers set their own level, so a level here is not enough
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    root = logging.getLogger()
    if _not_from_libp2p not in root.filters:
        root.addFilter(_not_from_libp2p)
    if not root.handlers:
        root.addHandler(logging.NullHandler())  # else logging.warning() would install one that prints


def _not_from_libp2p(record: logging.LogRecord) -> bool:
    return "/libp2p/" not in record.pathname.replace("\\", "/")
