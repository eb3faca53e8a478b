"""Who is on a rival: found from the few signs of what lies beside the line, the same as by looking at all signs."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from peer.network.identity import Identity
from peer.rounds.chain import Chain
from peer.rounds.company import Company, Told
from peer.rounds.contests import Contests
from peer.rounds.entry import Entry
from peer.rounds.fork_choice import is_plainly_behind
from peer.rounds.pure_work import PureWork
from peer.rounds.votes import VoteBook
from peer.types import Digest, PeerId
from peer.wire.envelope import seal
from peer.wire.messages import Ack, DepartedEntry, RosterEntry
from peer.wire.sync import Tip
from tests.unit.services.chains import RUN, LoneChain

IDENTITIES = [Identity.for_tests(number) for number in range(1, 7)]
PEERS = [identity.peer_id for identity in IDENTITIES]
HISTORY = 6
ROUNDS = 4


def entry(parent: Entry, name: int) -> Entry:
    """A successor of `parent` whose roster holds half of the peers, and that names one who has left."""
    roster = tuple(RosterEntry(peer, name % 2, 1, 1) for peer in sorted(PEERS[:3]))
    departed = (DepartedEntry(PEERS[3], 1, max(0, parent.round - 1)),)
    return replace(
        parent, round=parent.round + 1, digest=Digest(bytes([parent.round + 1, name]) * 16), parent=parent.digest,
        roster=roster, departed=departed, score=parent.score + 1 + name, standing=None,
    )  # fmt: skip


def plainly_contested(
    peers: frozenset[PeerId], *, chain: Chain, votes: VoteBook, told: dict[PeerId, Told]
) -> dict[Digest, PeerId]:
    """The rule word by word: the newest sign of every peer, whatever it is of, and then the fork from it to the tip."""
    tip = chain.tip
    newest = {PeerId(left.peer): (left.round - 1, tip) for left in tip.departed}
    newest |= {PeerId(member.peer): (tip.round - member.missed - 1, tip) for member in tip.roster}
    signs = [
        (peer, number, ack.message.manifest)
        for number in votes.rounds()
        for peer, ack in votes.of(number).items()
        if peer not in told or number > told[peer].voted
    ]
    signs += [(peer, said.tip.round, said.tip.digest) for peer, said in told.items()]
    for peer, number, manifest in signs:
        at = chain.get(manifest)
        if at is not None and (peer not in newest or number >= newest[peer][0]):
            newest[peer] = number, at
    found: dict[Digest, PeerId] = {}
    for peer in sorted(newest.keys() & peers):
        at = newest[peer][1]
        ancestor, ours, theirs = chain.fork(tip, at)
        if ours and theirs and (ancestor.roster or not is_plainly_behind(at.score, tip, history=HISTORY)):
            found[ancestor.digest] = peer
    return found


@given(data=st.data())
def test_who_is_on_a_rival_is_found_as_by_the_newest_sign_of_everybody(data: st.DataObject) -> None:
    known = [LoneChain().machine.line()[0]]
    chain, votes, contests = Chain(known[0]), VoteBook(), Contests(history=HISTORY)
    company = Company(Identity.for_tests(9).peer_id, patience_s=1.0, pure=PureWork())
    for name in range(data.draw(st.integers(2, 8), label="entries")):
        parent = data.draw(st.sampled_from([item for item in known if item.round < ROUNDS]), label="parent")
        known.append(entry(parent, name))
        chain.add(known[-1])
    company.meet(frozenset(PEERS), 0.0)
    before: object = None
    for what in data.draw(st.lists(st.sampled_from(["vote", "tell", "tip", "meet", "discard", "look"]), max_size=60)):
        peer = data.draw(st.integers(0, 5))
        number, item = data.draw(st.integers(0, ROUNDS)), data.draw(st.integers(0, 8))
        target = known[item] if item < len(known) else None
        digest = target.digest if target else Digest(b"?" * 32)
        match what:
            case "vote":
                votes.add(seal(Ack(number, digest, digest, digest, 0), IDENTITIES[peer], run=RUN))
            case "tell" if target is not None:
                company.heard(PEERS[peer], Told(tip=Tip(digest, target.round, target.score), voted=number))
            case "tip" if target is not None:
                chain.tip = target
            case "meet":
                company.meet(frozenset(data.draw(st.sets(st.sampled_from(PEERS)), label="reachable")), 0.0)
            case "discard":
                votes.discard(PEERS[peer])
        if what == "look":
            version, found = contests.version, contests.look(chain, votes, company)
            assert found == plainly_contested(company.reachable, chain=chain, votes=votes, told=company.told)
            assert (contests.version == version) == (found == (before or {}))
            before = found
    found = contests.look(chain, votes, company)
    assert found == plainly_contested(company.reachable, chain=chain, votes=votes, told=company.told)
