"""Who can be reached: the same object while nothing changes, so that whatever is keyed on it is not done again."""

from peer.network.identity import Identity
from peer.rounds.company import Company
from peer.rounds.pure_work import PureWork
from peer.types import PeerId

ME, A, B = (Identity.for_tests(number).peer_id for number in (1, 2, 3))


def company() -> Company:
    return Company(ME, patience_s=3.0, pure=PureWork())


def test_being_told_the_same_again_changes_nothing() -> None:
    mine = company()
    mine.meet(frozenset({A, B}), now=0.0)
    before = mine.alive
    mine.meet(frozenset({A, B, ME}), now=1.0)
    assert mine.alive is before
    assert mine.patience_end() == 3.0, "nobody is a stranger anew"


def test_reachable_leaves_this_peer_out_however_it_is_told() -> None:
    mine = company()
    mine.meet(frozenset({A, ME}), now=0.0)
    assert mine.reachable == {A}
    mine.meet(frozenset({B}), now=0.0)
    assert mine.reachable == {B}
    assert mine.alive == {B, ME}
    assert mine.strangers(now=1.0) == [B], "who is gone is a stranger no more"


def test_in_a_crowd_about_sixteen_are_strangers_to_each_peer_whoever_it_is() -> None:
    peers = frozenset(PeerId(f"peer {number}") for number in range(400))
    met = {}
    for me in sorted(peers)[:100]:
        mine = Company(me, patience_s=3.0, pure=PureWork())
        mine.meet(peers, now=0.0)
        met[me] = set(mine.strangers(now=1.0))
    assert 13 < sum(len(strangers) for strangers in met.values()) / len(met) < 19
    assert all(5 <= len(strangers) <= 30 for strangers in met.values())
    assert len({frozenset(strangers) for strangers in met.values()}) == len(met), "no cliques"
