"""Which rounds are final: more than half of those who were entitled to decide stand behind them (docs/adr/0003).

Entitled to decide on a manifest is the roster before it, less the members that have dropped out of the roster since and
cannot be reached: a dead peer must not keep rounds open for ever (mode `available`). A branch whose electors are alive
elsewhere is therefore never final. Counting reaches back to the oldest entry that is kept; whether that is
final is the caller's to say (docs/adr/0048).
"""

import itertools
from collections.abc import Sequence, Set
from dataclasses import dataclass

from peer.rounds.chain import Chain
from peer.rounds.entry import Entry, electorate
from peer.rounds.roster import majority
from peer.rounds.votes import VoteBook
from peer.types import PeerId


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """newest: the newest final entry, or None. short: so many votes are missing at least until another one is final."""

    newest: Entry | None
    short: int


def count_votes(chain: Chain, votes: VoteBook, *, alive: frozenset[PeerId], above: int) -> Count:
    """Find the newest final entry of the line to the tip that is of a later round than `above`.

    alive: the peers that can be reached, this one included. An entry is final after those before it only
    (docs/adr/0037). The root of the chain, whose votes may be forgotten, is taken to be final.
    """
    line = chain.line_to(chain.tip)
    reaches = [_reaches(line, chain, votes, round_number) for round_number in votes.rounds() if round_number > above]
    newest: Entry | None = chain.root if chain.root.round > above else None
    short = 1
    for parent, entry in itertools.pairwise(line):  # oldest first: a roster counts only after the rounds it comes from
        if entry.round <= above or not parent.roster:
            continue  # final already, or decided by those who build on it
        entitled = {peer for peer in electorate(parent, entry) if peer in chain.tip.members or peer in alive}
        if not entitled:
            continue
        short = majority(len(entitled)) - max((_behind(entry, entitled, camps) for camps in reaches), default=0)
        if short > 0:
            break
        newest = entry
    return Count(newest=newest, short=max(1, short))


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
