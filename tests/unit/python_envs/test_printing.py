"""Nothing that an environment prints comes to stdout, whichever thread it is in."""

import sys

import pytest

from peer.python_envs.printing import PrintingToStderr


def test_blocks_that_overlap_put_stdout_back_when_the_last_one_ends(capsys: pytest.CaptureFixture[str]) -> None:
    printing, stdout = PrintingToStderr(), sys.stdout
    printing.__enter__()
    sys.stdout.write("one\n")
    printing.__enter__()
    printing.__exit__(None, None, None)
    sys.stdout.write("two\n")
    printing.__exit__(None, None, None)
    sys.stdout.write("ours\n")
    assert sys.stdout is stdout
    assert capsys.readouterr() == ("ours\n", "one\ntwo\n")
