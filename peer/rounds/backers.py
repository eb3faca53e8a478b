"""How many peers stand behind a whole state that is offered, and behind the chain here (docs/adr/0071).

The votes that count are signed, and come with the offer: a state that somebody made up has nobody's but their own.
"""

from peer.errors import ProtocolError
from peer.rounds.company import Company
from peer.rounds.entry import Entry
from peer.rounds.ledger import Ledger
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import Ack
from peer.wire.sync import SyncResponse

_MAX_OFFERS = 16
"""States of which the votes are remembered: those offered last."""


class Backers:
    """Collects the votes for offered states, from whoever offers them."""

    def __init__(self, ledger: Ledger, company: Company) -> None:
        self._ledger = ledger
        self._company = company
        self._of_offers: dict[Digest, set[PeerId]] = {}

    def note(self, response: SyncResponse) -> None:
        """Remember the votes in an answer for the state that it offers. Those that are held already are not in it."""
        if response.snapshot is None:
            return
        offered = Digest(response.snapshot.tip.digest)
        voters = self._of_offers.pop(offered, set())
        voters.update(ack.peer for ack in self._acks(response) if ack.message.manifest == offered)
        self._of_offers[offered] = voters
        while len(self._of_offers) > _MAX_OFFERS:
            del self._of_offers[next(iter(self._of_offers))]

    def of_offer(self, offered: Digest, round_number: int) -> int:
        """Return how many voted for an offered state, this peer among them or not."""
        camps = self._ledger.votes.camps(round_number)
        held = [voters for (manifest, _), voters in camps.items() if manifest == offered]
        return self._count(self._of_offers.get(offered, set()).union(*held))

    def of_line(self) -> int:
        """Return how many of the reachable peers, this one included, voted for one entry of the line to the tip and
        are on no other chain."""
        company, ledger = self._company, self._ledger
        here = company.alive - company.apart.keys()
        return max(self._count(here & _voters(entry, ledger)) for entry in ledger.line())

    def newest_backed(self) -> Entry:
        """Return the newest entry of the line for which at least half as many voted as for any: the one to offer."""
        line = [entry for entry in self._ledger.line() if entry.state is not None]
        counts = [self._count(_voters(entry, self._ledger)) for entry in line]
        enough = (max(counts) + 1) // 2
        return next(entry for entry, count in zip(line[::-1], counts[::-1], strict=True) if count >= enough)

    def _count(self, voters: set[PeerId] | frozenset[PeerId]) -> int:
        return sum(map(self._ledger.eligibility.takes, voters))

    def _acks(self, response: SyncResponse) -> list[Signed[Ack]]:
        opened = []
        for data in response.messages:
            try:
                opened.append(self._ledger.parts.pure.open(data, run=self._ledger.parts.run))
            except ProtocolError:
                continue  # the inbox has refused it, and said so
        return [signed for signed in opened if isinstance(signed.message, Ack)]


def _voters(entry: Entry, ledger: Ledger) -> frozenset[PeerId]:
    return ledger.votes.voters(entry.round, entry.digest, entry.model)
