"""How many handshakes may be under way: more while they succeed, half after a deadline."""

from peer.network.dial_window import FIRST, MOST, DialWindow


def test_window_grows_by_little_up_to_its_bound() -> None:
    window = DialWindow()
    sizes = [window.size]
    for _ in range(60):
        window.finished()
        sizes.append(window.size)
    assert sizes[0] == FIRST
    assert sizes == sorted(sizes)
    assert sizes[-1] == MOST
    assert sizes.index(3) > 1, "one handshake in time is no reason for one more at once"


def test_window_stays_as_wide_as_it_is_told() -> None:
    window = DialWindow(least=2)
    for _ in range(5):
        window.timed_out()
    assert window.size == 2


def test_window_halves_with_each_deadline_and_never_closes() -> None:
    window = DialWindow()
    for _ in range(60):
        window.finished()
    sizes = []
    for _ in range(5):
        window.timed_out()
        sizes.append(window.size)
    assert sizes == [4, 2, 1, 1, 1]
