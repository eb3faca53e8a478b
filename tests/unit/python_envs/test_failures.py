"""What is told of an error of somebody else's: one line, whatever they raise."""

import pytest

from peer.python_envs.failures import told


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class LeavingError(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


@pytest.mark.parametrize("error", [SilentError(), LeavingError()])
def test_an_error_that_has_no_text_is_told_by_its_kind(error: Exception) -> None:
    assert told(error) == f"{type(error).__name__}: (it cannot say what)"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\n  two\r\n\tthree\n", "one two three"),
        ("\n", ""),
        ("x" * 1001, "x" * 1000 + "..."),
        ("x" * 1000, "x" * 1000),
    ],
)
def test_the_text_of_an_error_is_one_line_of_bounded_length(text: str, line: str) -> None:
    assert told(ValueError(text)) == f"ValueError: {line}"
