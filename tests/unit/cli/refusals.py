"""Commands in this process, and what they say when they refuse."""

from typer.testing import CliRunner

import peer.commands.table

RUNNER = CliRunner()


def refused(*arguments: str) -> str:
    """Return the one message of a command that is refused."""
    result = RUNNER.invoke(peer.commands.table.app, list(arguments))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr.rstrip("\n")
