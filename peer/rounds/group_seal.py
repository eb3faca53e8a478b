"""What one group's seal must look like, as far as everybody can tell without the deltas in it."""

from peer.errors import ProtocolError
from peer.peer_ids import short
from peer.rounds.entry import Entry, members_of
from peer.rounds.rules import RoundRules
from peer.types import PeerId
from peer.wire.envelope import Signed
from peer.wire.messages import GroupSeal

MAX_LEAP = 2**40
"""By how much one seal may raise the sequence of a member, whose own signature is not in it. A false one costs that
member the work up to there and no more: its next header goes on above (`OwnWork`)."""


def check_group_seal(base: Entry, seal: Signed[GroupSeal], rules: RoundRules) -> None:
    """Check the seal of a group for the round after `base`.

    Raises: ProtocolError `bad_group` unless it is by one of the group, and every member in it belongs to the group and
    has work that the chain lacks.
    """
    body, grouping = seal.message, base.settle(rules).grouping
    if body.base != base.digest or body.round != base.round + 1:
        raise ProtocolError("bad_group", f"group {body.group} is for another round")
    if grouping is None or body.group >= len(grouping.groups):
        raise ProtocolError("bad_group", f"there is no group {body.group} in round {body.round}")
    if grouping.rank_of(seal.peer) is None or grouping.group_of(seal.peer) != body.group:
        raise ProtocolError("bad_group", f"{short(seal.peer)} does not seal for group {body.group}")
    members = members_of(body)
    if list(members) != sorted(set(members)):
        raise ProtocolError("bad_group", f"members of group {body.group} are not sorted and distinct")
    if body.env_steps != sum(member.env_steps for member in body.members) or body.weight > body.env_steps:
        raise ProtocolError("bad_group", f"the counts of group {body.group} are not those of its members")
    for peer, member in zip(members, body.members, strict=True):
        if peer in grouping.idle or grouping.group_of(peer) != body.group:
            raise ProtocolError("bad_group", f"{short(peer)} is not of group {body.group}")
        _check_sequence(base, peer, member.sequence)


def _check_sequence(base: Entry, peer: PeerId, sequence: int) -> None:
    held = base.held_of(peer)
    if not held < sequence <= held + MAX_LEAP:
        raise ProtocolError("bad_group", f"sequence {sequence} of {short(peer)}, the chain holds {held}")
