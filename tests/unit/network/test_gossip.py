"""Who is handed which message, in swarms of any shape: no network, no clock."""

import random
from collections import Counter

import pytest

from peer.network import gossip as rules
from peer.network.gossip import (
    ASK_AGAIN_S,
    ASKED_S,
    CROWD,
    FIRST_NAMED_S,
    KEPT_S,
    LAST_NAMED_S,
    MAX_KEPT_BYTES,
    SEEN_S,
    Gossip,
)
from peer.network.gossip_frames import MAX_WANTED, MessageId, message_id
from peer.types import PeerId

A, B, C = PeerId("a"), PeerId("b"), PeerId("c")


def new_gossip(seed: int = 1) -> Gossip:
    rng = random.Random(seed)
    return Gossip(draw=lambda peers, count: rng.sample(peers, min(count, len(peers))))


class Swarm:
    """Peers that pass messages at once. links: of each peer. handed: copies of the message that each was handed."""

    def __init__(self, links: dict[int, set[int]]) -> None:
        self.links = {PeerId(str(peer)): {PeerId(str(other)) for other in others} for peer, others in links.items()}
        self.peers = {peer: new_gossip(int(peer)) for peer in self.links}
        self.handed: Counter[PeerId] = Counter()
        self.now = 0.0

    def publish(self, peer: PeerId, data: bytes) -> None:
        self.peers[peer].publish(data, self.links[peer], self.now)
        for other in self.links[peer]:
            self._hand(peer, other, data)

    def tell_all(self) -> None:
        for peer, gossip in self.peers.items():
            for other, names in gossip.tell(self.links[peer], self.now).items():
                wanted = self.peers[other].lacking(peer, names, self.now)
                for data in gossip.give(other, wanted):
                    self._hand(peer, other, data)

    def _hand(self, source: PeerId, peer: PeerId, data: bytes) -> None:
        self.handed[peer] += 1
        if self.peers[peer].is_new(source, data, self.now):
            for other in self.peers[peer].pass_on(data, self.links[peer]):
                self._hand(peer, other, data)


def mesh(peers: int) -> dict[int, set[int]]:
    return {peer: set(range(peers)) - {peer} for peer in range(peers)}


def test_in_a_full_mesh_everybody_gets_one_copy() -> None:
    swarm = Swarm(mesh(16))
    swarm.publish(PeerId("3"), b"message")
    for _ in range(20):
        swarm.now += 0.5
        swarm.tell_all()
    assert swarm.handed == Counter({peer: 1 for peer in swarm.peers if peer != "3"})


@pytest.mark.parametrize("peers", [3, 12])
def test_neighbours_of_neighbours_hear_it_by_asking(peers: int) -> None:
    """A ring: all but two hear nothing from the publisher itself."""
    swarm = Swarm({peer: {(peer - 1) % peers, (peer + 1) % peers} for peer in range(peers)})
    swarm.publish(PeerId("0"), b"message")
    for _ in range(2 * peers):
        swarm.now += 0.5
        swarm.tell_all()
    assert set(swarm.handed) | {"0"} == set(swarm.peers)
    assert max(swarm.handed.values()) == 1


def test_in_a_crowd_messages_are_passed_on_at_once() -> None:
    rng = random.Random(5)
    links: dict[int, set[int]] = {peer: set() for peer in range(200)}
    for peer in links:
        for other in rng.sample(range(200), 30):
            if other != peer:
                links[peer].add(other)
                links[other].add(peer)
    swarm = Swarm(links)
    swarm.publish(PeerId("0"), b"message")
    assert len(swarm.handed) > 190  # before anybody has told anybody
    assert sum(swarm.handed.values()) < 200 * (rules.CROWD_FANOUT + 1)
    swarm.now += FIRST_NAMED_S
    swarm.tell_all()
    swarm.now += FIRST_NAMED_S
    swarm.tell_all()
    assert len(swarm.handed) >= 199


def test_below_a_crowd_nothing_is_passed_on_unasked() -> None:
    one = new_gossip()
    one.is_new(A, b"message", 0.0)
    assert one.pass_on(b"message", [PeerId(str(n)) for n in range(CROWD - 1)]) == []
    assert len(one.pass_on(b"message", [PeerId(str(n)) for n in range(CROWD)])) == rules.CROWD_FANOUT


def test_second_copy_is_not_new_until_it_is_forgotten() -> None:
    one = new_gossip()
    assert one.is_new(A, b"message", 0.0)
    assert not one.is_new(B, b"message", 1.0)
    one.tell(set(), SEEN_S - 0.1)
    assert not one.is_new(B, b"message", SEEN_S - 0.1)
    one.tell(set(), SEEN_S)
    assert one.is_new(B, b"message", SEEN_S)


def test_message_is_named_after_the_first_copies_have_arrived_and_not_for_ever() -> None:
    one = new_gossip()
    one.publish(b"message", [A], 10.0)
    name = message_id(b"message")
    assert one.tell({A, B}, 10.0 + FIRST_NAMED_S - 0.01) == {}
    assert one.tell({A, B}, 10.0 + FIRST_NAMED_S) == {B: [name]}, "A has it from us"
    assert one.tell({A, B}, 10.0 + LAST_NAMED_S) == {}


def test_message_that_had_to_be_asked_for_is_named_at_once() -> None:
    one = new_gossip()
    name = message_id(b"message")
    assert one.lacking(A, [name], 1.0) == [name]
    assert one.is_new(A, b"message", 1.1)
    assert one.tell({A, B}, 1.1) == {B: [name]}


def test_one_neighbour_at_a_time_is_asked_for_a_message() -> None:
    one = new_gossip()
    names = [MessageId(bytes([n]) * 16) for n in range(2)]
    assert one.lacking(A, names, 0.0) == names
    assert one.lacking(B, names, ASK_AGAIN_S - 0.01) == []
    assert one.lacking(B, names, ASK_AGAIN_S) == names


def test_who_was_asked_in_vain_is_not_asked_again_while_others_may_name_a_message() -> None:
    """One that names everything at all times, and gives nothing, would keep all messages from who asks it first."""
    one = new_gossip()
    names = [message_id(b"1")]
    assert one.lacking(A, names, 0.0) == names
    for tenth in range(10, 20):
        one.tell(set(), 0.1 * tenth)
        assert one.lacking(A, names, 0.1 * tenth) == []
    assert one.lacking(B, names, LAST_NAMED_S) == names
    one.tell(set(), LAST_NAMED_S + ASKED_S)
    assert one.lacking(A, names, LAST_NAMED_S + ASKED_S) == names


def test_what_is_known_is_not_asked_for_and_too_much_is_not_asked_for_at_once() -> None:
    one = new_gossip()
    one.is_new(A, b"known", 0.0)
    assert one.lacking(A, [message_id(b"known")], 0.0) == []
    assert len(one.lacking(A, [MessageId(n.to_bytes(16)) for n in range(1000)], 0.0)) == MAX_WANTED


def test_nobody_is_given_a_message_twice() -> None:
    one = new_gossip()
    one.is_new(A, b"message", 0.0)
    name = message_id(b"message")
    assert one.give(A, [name]) == [], "it came from there"
    assert one.give(B, [name, name, MessageId(bytes(16))]) == [b"message"]
    assert one.give(B, [name]) == []


def test_messages_are_given_as_long_as_they_are_kept() -> None:
    one = new_gossip()
    one.is_new(A, b"message", 0.0)
    one.tell(set(), KEPT_S - 0.1)
    assert one.give(B, [message_id(b"message")]) == [b"message"]
    one.tell(set(), KEPT_S)
    assert one.give(C, [message_id(b"message")]) == []
    assert len(one) == 0


def test_kept_bytes_are_bounded() -> None:
    one = new_gossip()
    size = 64 * 1024
    messages = [n.to_bytes(4) * (size // 4) for n in range(MAX_KEPT_BYTES // size + 10)]
    for message in messages:
        one.is_new(A, message, 0.0)
    assert len(one) == MAX_KEPT_BYTES // size
    assert one.give(B, [message_id(messages[0])]) == []
    assert one.give(B, [message_id(messages[-1])]) == [messages[-1]]


def test_remembered_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_SEEN", 100)
    one = new_gossip()
    for n in range(101):
        one.is_new(A, b"%d" % n, 0.0)
    assert [one.is_new(A, b"%d" % n, 0.0) for n in (100, 1, 0)] == [False, False, True], "the oldest alone is forgotten"


def test_what_is_asked_for_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can make up names, and each was kept for two seconds."""
    monkeypatch.setattr(rules, "MAX_ASKED", 100)
    gossip, names = new_gossip(), [message_id(b"%d" % number) for number in range(1000)]
    for start in range(0, len(names), MAX_WANTED):
        assert gossip.lacking(A, names[start : start + MAX_WANTED], now=10.0)
    assert len(gossip._asked) == 100
    assert not gossip.lacking(B, names[-36:], now=10.5), "the latest are not asked for twice"


def look_for(one: Gossip, seconds: float, *, start: float, neighbours: set[PeerId]) -> int:
    """Count the tellings while something new comes from C every half second, and is looked for as often as it asks."""
    count, look_at = 0, start
    for n in range(int(2 * seconds)):
        now = start + 0.5 * n
        one.is_new(C, b"%f" % now, now)
        if now >= look_at:
            count += len(one.tell(neighbours, now))
            look_at = now + 0.5 * (rules.CALM_LOOKS if one.is_calm else 1)
    return count


def test_naming_what_nobody_lacks_becomes_rare_and_never_ends() -> None:
    one, neighbours = new_gossip(), {A, B, C}
    eager = look_for(one, 10.0, start=0.0, neighbours=neighbours)
    look_for(one, 60.0, start=100.0, neighbours=neighbours)
    calm = look_for(one, 10.0, start=200.0, neighbours=neighbours)
    assert 0 < 2 * calm < eager


@pytest.mark.parametrize("news", ["asked for", "lacking", "neighbour"])
def test_naming_is_eager_again_as_soon_as_somebody_may_lack_something(news: str) -> None:
    one, neighbours = new_gossip(), {A, B, C}
    look_for(one, 60.0, start=0.0, neighbours=neighbours)
    assert one.is_calm
    one.is_new(C, b"message", 100.0)
    if news == "asked for":
        assert one.give(A, [message_id(b"message")])
    elif news == "lacking":
        assert one.lacking(A, [MessageId(bytes(16))], 100.0)
    else:
        one.tell(neighbours | {PeerId("d")}, 100.0)
    assert not one.is_calm


def test_in_the_calm_a_message_is_still_named_whenever_the_looks_fall() -> None:
    for first in (0.0, 0.4, 0.8, 1.2):
        one = new_gossip()
        look_for(one, 60.0, start=0.0, neighbours={A, B, C})
        one.is_new(C, b"message", 300.0)
        pause = 1.25 * 0.5 * rules.CALM_LOOKS  # the longest
        looks = [one.tell({A, B, C}, 300.0 + first + pause * n) for n in range(3)]
        assert any(message_id(b"message") in names for telling in looks for names in telling.values())
