"""Which rounds are final: more than half of those who were entitled to decide stand behind them (docs/adr/0003).

Entitled to decide on a manifest is the roster before it, less the members that have dropped out of the roster since and
cannot be reached: a dead peer must not keep rounds open for ever (mode `available`). A branch whose electors are alive
elsewhere is therefore never final.
"""

from collections.abc import Sequence

from peer.rounds.chain import Chain
from peer.rounds.entry import Entry, electorate
from peer.rounds.roster import majority
from peer.rounds.votes import VoteBook
from peer.types import PeerId


def last_final(chain: Chain, votes: VoteBook, *, alive: frozenset[PeerId], above: int) -> Entry | None:
    """Return the newest final entry of the line to the tip that is of a later round than `above`, or None.

    alive: the peers that can be reached, this one included. All entries before a final one are final too. The root of
    the chain serves as parent only.
    """
    line = chain.line_to(chain.tip)
    present = chain.tip.members | alive
    depths = [_depths(line, chain, votes, round_number) for round_number in votes.rounds() if round_number > above]
    for parent, entry in zip(line[-2::-1], line[:0:-1], strict=True):  # newest first
        if entry.round <= above:
            return None
        entitled = electorate(parent, entry) & present
        if not parent.roster or not entitled:
            continue
        need = majority(len(entitled))
        if any(sum(depth.get(peer, -1) >= entry.round for peer in entitled) >= need for depth in depths):
            return entry
    return None


def _depths(line: Sequence[Entry], chain: Chain, votes: VoteBook, round_number: int) -> dict[PeerId, int]:
    """Return how far up `line` each vote of one round reaches."""
    depths: dict[PeerId, int] = {}
    reaches: dict[tuple[bytes, bytes], int | None] = {}  # most peers vote alike
    for peer, ack in votes.of(round_number).items():
        vote = ack.message.manifest, ack.message.model
        if vote not in reaches:
            target = chain.get(vote[0])
            is_held = target is not None and target.model == vote[1]
            reaches[vote] = chain.join_round(line, target) if target is not None and is_held else None
        depth = reaches[vote]
        if depth is not None:
            depths[peer] = depth
    return depths
