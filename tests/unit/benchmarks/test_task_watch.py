"""Whose the CPU time of a task is, where the network and others call each other."""

import time
from pathlib import Path
from typing import Any

import pytest
import trio

from benchmarks.task_watch import NETWORK, Watch

PROTOCOL = "protocol"
NETWORK_SOURCE = """
async def send(burn):
    burn(0.02)
    await trio.sleep(0)
    burn(0.02)

async def serve(handler, burn):
    burn(0.01)
    await handler(burn)
    burn(0.01)
"""
PROTOCOL_SOURCE = """
async def round(send, burn):
    burn(0.05)
    await send(burn)
    burn(0.05)

async def answer(burn):
    burn(0.03)
    await trio.sleep(0)
    burn(0.03)
"""


def functions_of(source: str, path: str) -> dict[str, Any]:
    """Return what a module at `path` would hold; the path says whose it is."""
    found: dict[str, Any] = {"trio": trio}
    exec(compile(source, path, "exec"), found)
    return found


def burn(seconds: float) -> None:
    """Take so much CPU time, however long that takes."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    watch = Watch(tmp_path / "found.json", go=tmp_path / "go", for_s=1.0)
    watch._looking = True
    watch._last = time.thread_time()
    return watch


def test_a_call_into_the_network_is_the_network_s_and_an_answer_the_handler_s(watch: Watch) -> None:
    network = functions_of(NETWORK_SOURCE, "/somewhere/peer/network/module.py")
    protocol = functions_of(PROTOCOL_SOURCE, "/somewhere/peer/rounds/module.py")
    send = watch.charged_to(NETWORK, network["send"])
    answer = watch.charged_to(PROTOCOL, protocol["answer"])

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(protocol["round"], send, burn)
            nursery.start_soon(network["serve"], answer, burn)

    trio.run(both, instruments=[watch])
    assert watch._owners[PROTOCOL] == pytest.approx(0.1 + 0.06, abs=0.01)
    assert watch._owners[NETWORK] == pytest.approx(0.04 + 0.02, abs=0.01)


def test_what_a_call_raises_and_returns_goes_through(watch: Watch) -> None:
    async def fail() -> int:
        await trio.lowlevel.checkpoint()
        raise LookupError("none")

    async def succeed() -> int:
        await trio.lowlevel.checkpoint()
        return 7

    async def wait() -> None:
        await trio.sleep_forever()

    async def all_three() -> None:
        with pytest.raises(LookupError, match="none"):
            await watch.charged_to(NETWORK, fail)()
        assert await watch.charged_to(NETWORK, succeed)() == 7
        with trio.move_on_after(0) as scope:
            await watch.charged_to(NETWORK, wait)()
        assert scope.cancelled_caught

    trio.run(all_three, instruments=[watch])
