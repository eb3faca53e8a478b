"""Which peers stand behind a whole state that is offered, and behind the chain here (docs/adr/0071, 0079, 0081).

Votes are signed, and come with the offer. What a peer says of its tip is not, and counts only if it said so to this
peer itself. So behind a state that somebody made up stand those that made it up, and those that took it over.
"""

from collections.abc import Mapping, Set

from peer.errors import ProtocolError
from peer.rounds.company import Company
from peer.rounds.entry import Entry, electorate
from peer.rounds.ledger import Ledger
from peer.rounds.merging import Side
from peer.types import Digest, PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import Ack
from peer.wire.sync import SyncResponse, Tip

_MAX_OFFERS = 16
"""States of which the votes are remembered: those offered last."""
_MAX_VOTERS = 256
"""Remembered of each, as in the vote book; where there is no allow-list, keys to vote with cost nothing."""


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
        for ack in self._acks(response):
            if (
                ack.message.manifest == offered
                and len(voters) < _MAX_VOTERS
                and self._ledger.eligibility.takes(ack.peer)
            ):
                voters.add(ack.peer)
        self._of_offers[offered] = voters
        while len(self._of_offers) > _MAX_OFFERS:
            del self._of_offers[next(iter(self._of_offers))]

    def sides(self, offered: Tip, state: Entry | None = None) -> tuple[Side, Side]:
        """Return an offered state and the chain here, each with those who stand behind it. state: that, once here."""
        voted_there, bases = self._voted_for(offered), self._bases()
        here = self._last_seen_here(offered.round, voted_there, bases)
        there = self._behind_offer(offered, voted_there - here, bases)
        known = None if state is None else state.settle(self._ledger.parts.rules).held.keys()
        theirs = Side(round=offered.round, score=offered.score, backers=self._allowed(there), known=known)
        return theirs, self._our_side(here, there)

    def _behind_offer(self, offered: Tip, voted: Set[PeerId], bases: Mapping[PeerId, Digest]) -> set[PeerId]:
        """Return who stands behind an offered state.

        These are those who say that it is their tip, those who since their last word announced work on it, and some of
        those who `voted`: who have not voted here in a later round and, as keys cost nothing, can be reached or are
        named by the chain here.
        """
        ledger = self._ledger
        met = self._company.alive | ledger.tip.settle(ledger.parts.rules).held.keys()
        voted_here = (_voters(entry, ledger) for entry in ledger.line() if entry.round > offered.round)
        voters = set(voted & met).difference(*voted_here)
        trains_there = {peer for peer in self._company.reachable if bases.get(peer) == offered.digest}
        return voters | trains_there | self._at(Digest(offered.digest)) - {ledger.me}

    def _our_side(self, here: Set[PeerId], there: Set[PeerId]) -> Side:
        """Return the chain here, with those behind it.

        These are this peer, the electors among those who said that they are on it, and the voters of its entry with the
        most votes, less those who are on another chain.
        """
        company, ledger = self._company, self._ledger
        tip, line = ledger.tip, ledger.line()
        standing = tip.settle(ledger.parts.rules)
        not_elsewhere = company.alive - company.apart.keys() - there
        voters = [self._allowed(not_elsewhere & _voters(entry, ledger)) for entry in line]
        most = max(range(len(line)), key=lambda index: len(voters[index]))
        electors = electorate(line[max(most - 1, 0)], line[most]) | standing.left.keys()
        return Side(
            round=tip.round,
            score=tip.score,
            backers=voters[most] | self._allowed(here & (electors | {ledger.me})),
            others=self._allowed(company.alive & electors | company.apart.keys()),
            known=standing.held.keys(),
        )

    def _bases(self) -> dict[PeerId, Digest]:
        """Return on what each peer announced work that became known here after its last word of its tip."""
        told, bases = self._company.told, dict[PeerId, Digest]()
        for peer in self._company.reachable:
            header = self._ledger.pool.newest_of(peer)
            if header is not None and (peer not in told or header.message.sequence > told[peer].announced):
                bases[peer] = Digest(header.message.base)
        return bases

    def _last_seen_here(
        self, round_number: int, voted_there: Set[PeerId], bases: Mapping[PeerId, Digest]
    ) -> set[PeerId]:
        """Return this peer, and those that said they are on its line, and have announced no work elsewhere since.

        Those who voted for the other side must have said so after their vote in that round. Of the others any word
        counts, as whoever makes up a state chooses its round.
        """
        told, digests = self._company.told.items(), {entry.digest for entry in self._ledger.line()}
        on_line = (
            (peer, word)
            for peer, word in told
            if word.tip.digest in digests and bases.get(peer, word.tip.digest) in digests
        )
        here = {peer for peer, word in on_line if peer not in voted_there or word.voted >= round_number}
        return {self._ledger.me, *here}

    def newest_backed(self) -> Entry:
        """Return the entry to offer: the newest of the line with at least half as many votes as the one with the most.

        Those who are on another chain by now do not count. Where more peers are at the tip, or have just had their work
        admitted by it, than voted for any entry, that is the tip: some cannot vote just now.
        """
        ledger, company = self._ledger, self._company
        line = [entry for entry in ledger.line() if entry.state is not None]
        counts = [len(self._allowed(_voters(entry, ledger) - company.apart.keys())) for entry in line]
        at_tip = self._at(ledger.tip.digest) | ledger.tip.settle(ledger.parts.rules).in_time & company.alive
        if max(counts) < len(self._allowed(at_tip - company.apart.keys())):
            return ledger.tip
        enough = (max(counts) + 1) // 2
        return next(entry for entry, count in zip(line[::-1], counts[::-1], strict=True) if count >= enough)

    def _at(self, tip: Digest) -> frozenset[PeerId]:
        """Return whose tip is `tip`, this peer's or as it last said."""
        peers = self._company.told_at({tip})
        return peers | {self._ledger.me} if tip == self._ledger.tip.digest else peers

    def _voted_for(self, offered: Tip) -> set[PeerId]:
        """Return who voted for an offered state, this peer among them or not."""
        camps = self._ledger.votes.camps(offered.round).items()
        held = [voters for (manifest, _), voters in camps if manifest == offered.digest]
        return self._of_offers.get(Digest(offered.digest), set()).union(*held)

    def _allowed(self, voters: Set[PeerId]) -> frozenset[PeerId]:
        return frozenset(filter(self._ledger.eligibility.takes, voters))

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
