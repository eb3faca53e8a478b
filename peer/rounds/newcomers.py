"""When a peer waits until those that it has just met have told where they stand, and when not (docs/adr/0060)."""

from peer.rounds.company import Company
from peer.rounds.ledger import Ledger


def is_amid_its_swarm(ledger: Ledger, company: Company) -> bool:
    """Return whether this peer seals, and holds rounds as final, without hearing first where a newcomer stands.

    A joiner hears the tips of those it meets before it seals beside the swarm, and so does everybody in a swarm that is
    just forming. Elsewhere newcomers join: were they waited for, each that stays mute would cost a round.
    """
    return ledger.chain.root.round > 0 and company.is_amid(ledger.tip.members)
