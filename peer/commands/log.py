"""`murmur log`: the chain of sealed rounds, from the disk of a peer."""

import os
import pydoc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from peer.commands import arguments, exits


def log_command(
    *,
    data_dir: Annotated[
        Path,
        arguments.data_dir_option("storage.data_dir of a peer, one slot or run in it, or a copy of any of these."),
    ] = arguments.DEFAULT_DATA_DIR,
    slot: Annotated[
        int | None,
        typer.Option(
            parser=arguments.whole_number_from(0, to=4095),
            metavar="N",
            help="Which peer's journal. Default: the last written.",
        ),
    ] = None,
    run: Annotated[
        str | None, typer.Option(metavar="NAME", help="Beginning of the run folder's name. Default: the last written.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("-n", parser=arguments.whole_number_from(1), metavar="N", help="Show so many rounds, the newest."),
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option(metavar="PEER", help="Only rounds that it had part in: a name, a peer id, or the end of one."),
    ] = None,
    oneline: Annotated[bool, typer.Option("--oneline", help="One line a round.")] = False,
    stat: Annotated[bool, typer.Option("--stat", help="Who contributed how much; who was rejected why.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Check all of it, and compute the models anew.")] = False,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="For --verify: hold the chain against these settings of your own."
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a round, or for the whole result.")] = False,
) -> None:
    """Show the chain of sealed rounds, newest first.

    Tells who sealed, whose work counts, and what was rejected why.

    Reads the journal that a peer keeps on disk, while it runs or after, also in a copied folder; changes nothing.
    Only rounds whose signatures hold are shown. On a terminal the output goes through your pager. Exit code: 0, 1
    when --verify found something wrong, 2 when there is nothing to read, or --config is of another run.

    \b
    Examples:
      murmur log -n 5                                  the last rounds in runs/
      murmur log --slot 2 --peer peer-1 --oneline      what peer-3 knows of peer-1
      murmur log --stat                                who contributed what
      murmur log --verify --data-dir copy-of-a-folder  is it true?
    """
    from peer.history.command import LogOptions, history_lines, place_line, place_of, verify_lines

    options = LogOptions(
        data_dir=data_dir,
        slot=slot,
        run=run,
        count=None if count is None else min(count, sys.maxsize),
        peer=peer,
        stat=stat,
        oneline=oneline,
        json=json,
        config=None if config is None else lambda: arguments.load(config, None),
    )
    if config is not None and not verify:
        raise typer.BadParameter("it goes with --verify: what is shown needs no settings", param_hint="--config")
    if stat and oneline and not verify:
        raise typer.BadParameter(
            "it sums all rounds up, and --oneline shows each one: give one of them", param_hint="--stat"
        )
    place = exits.or_exit(lambda: place_of(options))
    exits.note(place_line(place))
    if not verify:
        exits.or_exit(lambda: _page(history_lines(place, options)))
        return
    if stat or oneline or peer is not None or count is not None:
        raise typer.BadParameter(
            "it looks at the whole chain: leave out -n, --peer, --stat and --oneline", param_hint="--verify"
        )
    lines, good = exits.or_exit(lambda: verify_lines(place, options, tell=exits.note))
    _page(iter(lines))
    raise typer.Exit(0 if good else exits.EXIT_FAILED)


def _page(lines: Iterator[str]) -> None:
    """Print for a reader: through the pager on a terminal, unless all fits on one screen."""
    if not sys.stdout.isatty():
        with exits.writing():
            for line in lines:
                typer.echo(line)
        return
    os.environ.setdefault("LESS", "FRX")  # as git: leave at once when it fits, keep what was shown
    pydoc.pager("".join(f"{line}\n" for line in lines))
