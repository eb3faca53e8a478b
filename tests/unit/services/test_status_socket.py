"""The status socket: every connection gets one whole answer, whatever it sends, and nobody can hold it up."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import msgspec
import pytest
import trio

from peer.errors import StorageError
from peer.services.status_answer import Status
from peer.services.status_socket import SOCKET_FILE, read_status, serve_status, short_path, status_listener
from tests.descriptors import no_descriptor_left
from tests.unit.network.loopback import PATIENCE_S, until
from tests.unit.services.statuses import status


async def serve(slot: Path, status: Callable[[], Status]) -> None:
    with status_listener(slot) as listener:
        await serve_status(listener, status)


async def ask(slot: Path) -> Status:
    return await trio.to_thread.run_sync(lambda: read_status(slot, timeout_s=PATIENCE_S))


async def listening(slot: Path) -> None:
    file = slot / SOCKET_FILE
    await until(lambda: file.exists() and file.stat().st_mode & 0o777 == 0o600)


async def test_every_connection_gets_the_state_of_the_moment(tmp_path: Path, nursery: trio.Nursery) -> None:
    answers = iter((status(1), status(2)))
    nursery.start_soon(serve, tmp_path, lambda: next(answers))
    await listening(tmp_path)
    assert [(await ask(tmp_path)).round, (await ask(tmp_path)).round] == [1, 2]


async def test_who_asks_between_two_ways_of_answering_waits_for_the_second(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    """As when a process takes no part any more: it runs, and was said not to."""
    with status_listener(tmp_path) as listener:
        with trio.move_on_after(0.0):
            await serve_status(listener, status)
        answers: list[Status] = []

        async def note() -> None:
            answers.append(await ask(tmp_path))

        nursery.start_soon(note)
        await trio.sleep(0.05)
        assert not answers
        nursery.start_soon(serve_status, listener, lambda: status(2))
        await until(lambda: bool(answers))
        assert answers[0].round == 2
        nursery.cancel_scope.cancel()


async def test_readers_that_leave_early_or_send_garbage_cost_nothing(tmp_path: Path, nursery: trio.Nursery) -> None:
    large = msgspec.structs.replace(status(), waiting_for="x" * 4_000_000)  # does not fit a socket's buffer
    nursery.start_soon(serve, tmp_path, lambda: large)
    await listening(tmp_path)
    for data in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(5000)):
        with socket.socket(socket.AF_UNIX) as rude, short_path(tmp_path / SOCKET_FILE) as name:
            rude.connect(name)
            rude.sendall(data)
    assert (await ask(tmp_path)).waiting_for == large.waiting_for


@pytest.mark.parametrize("answer", [b'{"x":' + b"[" * 100_000, b"x" * (65 * 1024**2)])
def test_answer_that_is_absurd_is_of_no_use_as_that_of_another_version_is(tmp_path: Path, answer: bytes) -> None:
    def answer_once(listener: socket.socket) -> None:
        with listener.accept()[0] as connection, suppress(OSError):
            connection.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        with short_path(tmp_path / SOCKET_FILE) as name:
            listener.bind(name)
        listener.listen()
        thread = Thread(target=answer_once, args=(listener,))
        thread.start()
        with pytest.raises(msgspec.DecodeError):
            read_status(tmp_path, timeout_s=PATIENCE_S)
        thread.join()


async def test_reader_that_comes_when_no_descriptor_is_left_is_answered_later(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    nursery.start_soon(serve, tmp_path, status)
    await listening(tmp_path)
    with socket.socket(socket.AF_UNIX) as patient, short_path(tmp_path / SOCKET_FILE) as name:
        patient.settimeout(PATIENCE_S)
        with no_descriptor_left():
            patient.connect(name)
            await trio.sleep(0.05)
        assert await trio.to_thread.run_sync(patient.recv, 1) == b"{"


async def test_a_folder_deeper_than_a_socket_address_holds_works(tmp_path: Path, nursery: trio.Nursery) -> None:
    slot = tmp_path / ("d" * 100) / ("e" * 100)
    slot.mkdir(parents=True)
    nursery.start_soon(serve, slot, status)
    await listening(slot)
    assert (await ask(slot)).round == 7


async def test_the_socket_of_an_earlier_life_is_replaced_and_ours_removed(tmp_path: Path) -> None:
    (tmp_path / SOCKET_FILE).write_text("left behind")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, tmp_path, status)
        await listening(tmp_path)
        assert (await ask(tmp_path)).round == 7
        nursery.cancel_scope.cancel()
    assert not (tmp_path / SOCKET_FILE).exists()


async def test_a_folder_that_is_gone_is_a_storage_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"status\.sock"):
        await serve(tmp_path / "gone", status)


def test_nobody_there_is_told_apart_from_an_answer(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_status(tmp_path, timeout_s=1.0)
    with socket.socket(socket.AF_UNIX) as dead, short_path(tmp_path / SOCKET_FILE) as name:
        dead.bind(name)
    with pytest.raises(ConnectionRefusedError):
        read_status(tmp_path, timeout_s=1.0)
