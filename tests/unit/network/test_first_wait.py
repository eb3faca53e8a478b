"""Acting before a task first waits: once, and only if it does."""

import pytest
import trio

from peer.network.first_wait import before_first_wait


async def test_what_never_waits_is_not_interrupted() -> None:
    acts: list[str] = []

    async def answer() -> str:
        acts.append("answered")
        return "answer"

    assert await before_first_wait(answer(), lambda: acts.append("act")) == "answer"
    assert acts == ["answered"]


async def test_act_comes_before_the_first_wait_and_no_other() -> None:
    acts: list[str] = []
    event = trio.Event()

    async def answer() -> str:
        await event.wait()
        acts.append("woken")
        await trio.lowlevel.checkpoint()
        return "answer"

    def act() -> None:
        acts.append("act")
        event.set()

    assert await before_first_wait(answer(), act) == "answer"
    assert acts == ["act", "woken"]


@pytest.mark.parametrize("waits", [False, True])
async def test_errors_are_the_awaiters(*, waits: bool) -> None:
    async def fail() -> None:
        if waits:
            await trio.lowlevel.checkpoint()
        raise KeyError("expected")

    with pytest.raises(KeyError, match="expected"):
        await before_first_wait(fail(), lambda: None)


async def test_cancelling_reaches_what_is_awaited() -> None:
    cleaned: list[bool] = []

    async def sleep() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append(True)

    with trio.CancelScope() as scope:
        await before_first_wait(sleep(), scope.cancel)
    assert scope.cancelled_caught
    assert cleaned
