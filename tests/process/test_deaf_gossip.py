"""Real sockets, and no gossip at all on them, as with a neighbour that stays deaf: anti-entropy carries everything."""

from tests.process.murmur import START_S, Murmur, MurmurProcess, models_by_round

ROUNDS = 5
PATIENT = "round.grace_s=10.0"
"""On a busy machine an exchange takes longer than the deltas are waited for elsewhere."""


def whole_rounds(peer: MurmurProcess) -> list[int]:
    return [event["round"] for event in peer.named("round_sealed") if event["admitted"] == 3]


def wait_for_whole_rounds(peer: MurmurProcess, count: int) -> None:
    peer.wait_for("round_sealed", lambda _: len(whole_rounds(peer)) >= count, within_s=START_S)


def test_rounds_are_sealed_with_everybodys_work_when_nobody_hears_gossip(murmur: Murmur) -> None:
    first = murmur.peer("a", PATIENT, altered=["--deaf"])
    peers = [first, *(murmur.peer(name, PATIENT, meet=[first], altered=["--deaf"]) for name in ("b", "c"))]
    for peer in peers:
        wait_for_whole_rounds(peer, ROUNDS)
    for peer in peers:
        assert peer.stop() == 0
    models = [models_by_round(peer) for peer in peers]
    # Before they have met, which takes a while on a busy machine, each seals alone, and holds that as final.
    together = set.intersection(*({*found} & {*whole_rounds(peer)} for peer, found in zip(peers, models, strict=True)))
    assert together, "no round with everybody's work became final everywhere"
    assert all(len({found[number] for found in models}) == 1 for number in together)
