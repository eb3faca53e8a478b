"""Which rounds are final: more than half of those who were entitled to decide stand behind them (docs/adr/0003).

Entitled to decide on a manifest is the roster before it, less the members that have dropped out of the roster since and
cannot be reached: a dead peer must not keep rounds open for ever (mode `available`). A branch whose electors are alive
elsewhere is therefore never final. Where a reachable peer is known to be on a rival, nobody is left out: two sides that
meet again may each have counted without the other (docs/adr/0054). Whoever comes back decides again (docs/adr/0082).
"""

import itertools
from collections.abc import Collection, Iterator, Sequence, Set
from dataclasses import dataclass, field

from peer.rounds.chain import Chain
from peer.rounds.entry import Entry, electorate
from peer.rounds.roster import majority
from peer.rounds.votes import VoteBook
from peer.types import Digest, PeerId

_MORE_THAN_COME = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The outcome of counting votes.

    newest: the newest final entry, or None.

    short: at least so many votes are missing until another one is final; when all are, more than can ever come.

    without: who was left out of deciding, each with the newest of the final rounds that it was left out of.
    """

    newest: Entry | None
    short: int
    without: dict[PeerId, int] = field(default_factory=dict)


def count_votes(
    chain: Chain, votes: VoteBook, *, alive: frozenset[PeerId], above: int, contested: Collection[Digest] = ()
) -> Count:
    """Find the newest final entry of the line to the tip that is of a later round than `above`.

    alive: the peers that can be reached, this one included. contested: entries of the line on which a rival builds that
    a reachable peer is known to be on. An entry is final after those before it only (docs/adr/0037).
    """
    line = chain.line_to(chain.tip)
    reaches = [_reaches(line, chain, votes, round_number) for round_number in votes.rounds() if round_number > above]
    newest: Entry | None = None
    without: dict[PeerId, int] = {}
    left_out: dict[PeerId, int] = {}
    short = 1
    for electors, entry in _elections(line):  # oldest first: a roster counts only after the rounds it comes from
        if entry.round <= above:
            continue
        entitled = electors
        if entry.parent not in contested:
            entitled = {peer for peer in electors if peer in chain.tip.members or peer in alive}
            left_out |= dict.fromkeys(electors - entitled, entry.round)
            if not entitled:
                continue  # decided by those who build on it
        short = majority(len(entitled)) - max((_behind(entry, entitled, camps) for camps in reaches), default=0)
        if short > 0:
            break
        newest = entry
        without |= left_out
    is_all = chain.tip.round <= above or newest is chain.tip
    return Count(newest=newest, short=_MORE_THAN_COME if is_all else max(1, short), without=without)


def _elections(line: Sequence[Entry]) -> Iterator[tuple[Set[PeerId], Entry]]:
    """Return who decides on each entry of a line from the root.

    Nobody decides on genesis, as there was no roster before it. On any other root those decide who decide on what
    builds on it, as the roster before is forgotten.
    """
    yield line[0].electors, line[0]
    for parent, entry in itertools.pairwise(line):
        yield (electorate(parent, entry) if parent.roster else frozenset()), entry


def _behind(entry: Entry, entitled: Set[PeerId], camps: Sequence[tuple[int, Set[PeerId]]]) -> int:
    return sum(len(entitled & camp) for reach, camp in camps if reach >= entry.round)


def _reaches(line: Sequence[Entry], chain: Chain, votes: VoteBook, round_number: int) -> list[tuple[int, Set[PeerId]]]:
    """Return how far up `line` the votes of one round reach, with those who voted alike."""
    reaches: list[tuple[int, Set[PeerId]]] = []
    for (manifest, model), camp in votes.camps(round_number).items():
        target = chain.get(manifest)
        if target is not None and target.model == model:
            reaches.append((chain.join_round(line, target), camp))
    return reaches
