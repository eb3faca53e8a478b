"""A peer that hears of a seal before it has the manifest: when it asks, and how late the next round is for it."""

import pytest

from peer.aggregation.step import aggregator
from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds.effects import Effect, OpenRound, Publish, SyncWith
from peer.rounds.machine import Mail, Parts, RoundMachine
from peer.rounds.rules import RoundRules
from peer.types import Seconds
from peer.wire.envelope import open_envelope, seal
from peer.wire.messages import Ack, decode_announcement
from tests.unit.services.chains import ME, RUN, SCHEMA, LoneChain, first_entry

SEALED_AT: Seconds = 9.2
OTHER = Identity.for_tests(2)


def mail(effects: list[Effect]) -> list[Mail]:
    """Return what somebody publishes as it comes to others."""
    published = [effect.data for effect in effects if isinstance(effect, Publish)]
    found = [decode_announcement(data) for data in published]
    return [(announcement.envelope, announcement.payload, ME.peer_id) for announcement in found]


def votes(letters: list[Mail]) -> list[Mail]:
    return [letter for letter in letters if isinstance(open_envelope(letter[0], run=RUN).message, Ack)]


@pytest.fixture
def watcher() -> tuple[RoundMachine, list[Mail]]:
    """Return a machine that holds round 1, sealed by the only elector of round 2, and what that one says of round 2."""
    sealer = LoneChain()
    first = mail(sealer.seal())
    parts = Parts(
        signer=OTHER, run=RUN, schema=SCHEMA, rules=RoundRules(), codecs=CODECS, codec="float32",
        aggregate=aggregator("mean"),
    )  # fmt: skip
    machine = RoundMachine(parts, root=first_entry(), sequence=0, now=0.0)
    machine.start(0.0)
    machine.reachable(frozenset({ME.peer_id}), 0.0)
    machine.receive_all(first, 9.0)
    assert machine.tip.round == 1
    return machine, mail(sealer.seal())


def test_manifest_that_a_majority_has_voted_for_is_asked_for_at_once(watcher: tuple[RoundMachine, list[Mail]]) -> None:
    machine, second = watcher
    effects = machine.receive_all(votes(second), SEALED_AT)
    assert SyncWith(peer=ME.peer_id) in effects


def test_manifest_that_others_than_electors_have_voted_for_may_still_be_on_its_way(
    watcher: tuple[RoundMachine, list[Mail]],
) -> None:
    machine, second = watcher
    (ack,) = [open_envelope(letter[0], run=RUN) for letter in votes(second)]
    assert isinstance(ack.message, Ack)
    stranger = seal(ack.message, Identity.for_tests(3), run=RUN)
    assert machine.receive_all([(stranger.data, None, ME.peer_id)], SEALED_AT) == []
    assert SyncWith(peer=ME.peer_id) in machine.tick(SEALED_AT + RoundRules().backup_gap_s)


def test_round_opened_late_says_for_how_long_its_seal_was_known(watcher: tuple[RoundMachine, list[Mail]]) -> None:
    machine, second = watcher
    machine.receive_all(votes(second), SEALED_AT)
    opened = [effect for effect in machine.receive_all(second, SEALED_AT + 0.8) if isinstance(effect, OpenRound)]
    assert [effect.round for effect in opened] == [3]
    assert opened[0].late_s == pytest.approx(0.8)


def test_round_whose_manifest_came_first_is_not_late(watcher: tuple[RoundMachine, list[Mail]]) -> None:
    machine, second = watcher
    opened = [effect for effect in machine.receive_all(second, SEALED_AT) if isinstance(effect, OpenRound)]
    assert [effect.late_s for effect in opened] == [0.0]
