"""Signals around the life of an event loop."""

import signal

import pytest
import trio

from peer.early_signals import EarlySignals, keeping


def test_signal_before_anybody_listens_reaches_the_first_who_does() -> None:
    heard: list[int] = []

    async def listen(early: EarlySignals) -> None:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals, trio.move_on_after(30.0):
            early.pass_on()
            async for number in signals:
                heard.append(number)
                if len(heard) == 2:
                    return

    with keeping(signal.SIGTERM, signal.SIGINT) as early:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        trio.run(listen, early)
    assert sorted(heard) == [signal.SIGINT, signal.SIGTERM]  # each once


def test_signal_after_the_listening_is_over_changes_nothing() -> None:
    async def listen_briefly() -> None:
        with trio.open_signal_receiver(signal.SIGTERM):
            signal.raise_signal(signal.SIGTERM)  # never read: trio raises it again when the block ends
        signal.raise_signal(signal.SIGTERM)

    with keeping(signal.SIGTERM):
        trio.run(listen_briefly)


def test_handlers_of_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError), keeping(signal.SIGTERM):
        raise RuntimeError
    assert signal.getsignal(signal.SIGTERM) is before
