"""No garbage is looked for while libraries load."""

import gc

import pytest

from peer.commands.startup import loading


def test_nothing_is_collected_while_loading_and_what_was_loaded_is_not_looked_at_again() -> None:
    collections: list[str] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        collections.append(phase)

    gc.callbacks.append(note)
    try:
        gc.collect()  # what was made before does not fall due on the way into the block
        frozen = gc.get_freeze_count()  # of all that pytest has collected
        with loading():
            collections.clear()
            loaded = [[number] for number in range(10_000)]  # more than enough to have the collector look
            assert collections == []
        assert gc.isenabled()
        assert gc.get_freeze_count() >= frozen + len(loaded)
    finally:
        gc.callbacks.remove(note)


def test_failed_loading_leaves_the_collector_at_work() -> None:
    with pytest.raises(RuntimeError), loading():
        raise RuntimeError
    assert gc.isenabled()
