"""Which rounds are final: more than half of those who were entitled to decide stand behind them (docs/adr/0003).

Entitled to decide on a manifest is the roster before it, less the members that have dropped out of the roster since and
cannot be reached: a dead peer must not keep rounds open for ever (mode `available`). A branch whose electors are alive
elsewhere is therefore never final. Counting reaches back to the oldest entry that is kept; whether that is
final is the caller's to say (docs/adr/0048).
"""

import itertools
from collections.abc import Sequence, Set

from peer.rounds.chain import Chain
from peer.rounds.entry import Entry, electorate
from peer.rounds.roster import majority
from peer.rounds.votes import VoteBook
from peer.types import PeerId


def last_final(chain: Chain, votes: VoteBook, *, alive: frozenset[PeerId], above: int) -> Entry | None:
    """Return the newest final entry of the line to the tip that is of a later round than `above`, or None.

    alive: the peers that can be reached, this one included. An entry is final after those before it only
    (docs/adr/0037). The root of the chain, whose votes may be forgotten, is taken to be final.
    """
    line = chain.line_to(chain.tip)
    reaches = [_reaches(line, chain, votes, round_number) for round_number in votes.rounds() if round_number > above]
    newest: Entry | None = chain.root if chain.root.round > above else None
    for parent, entry in itertools.pairwise(line):  # oldest first: a roster counts only after the rounds it comes from
        if entry.round <= above or not parent.roster:
            continue  # final already, or decided by those who build on it
        entitled = {peer for peer in electorate(parent, entry) if peer in chain.tip.members or peer in alive}
        if not entitled:
            continue
        need = majority(len(entitled))
        if not any(_behind(entry, entitled, camps) >= need for camps in reaches):
            break
        newest = entry
    return newest


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
