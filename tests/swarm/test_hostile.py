"""An admitted peer that does its worst: every wrong message is refused by name, and nothing changes."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.rounds.entry import Entry
from peer.rounds.machine import RoundMachine
from peer.wire.envelope import seal
from peer.wire.messages import Ack, DepartedEntry, RosterEntry
from tests.swarm.liar import EVIL, PAYLOAD, SOURCE, header, manifest, refusals
from tests.swarm.machine_swarm import RUN, MachineSwarm


def forged(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])  # the signature comes last


def state_of(machine: RoundMachine) -> tuple[object, ...]:
    ledger = machine._ledger
    return machine.tip.digest, len(ledger.chain), len(ledger.votes), len(ledger.payloads), ledger.candidates()


BAD_MESSAGES: dict[str, tuple[str, Callable[[Entry], bytes]]] = {
    "garbage": ("malformed", lambda _tip: b"garbage"),
    "another run": ("run", lambda tip: seal(header(tip).message, EVIL, run=b"x" * 16).data),
    "header of another round": ("bad_header", lambda tip: header(tip, round=tip.round + 2).data),
    "header with unknown codec": ("codec", lambda tip: header(tip, codec="zip").data),
    "header with huge payload": ("payload_size", lambda tip: header(tip, payload_bytes=1 << 29).data),
    "header that weighs more than its steps": ("bad_header", lambda tip: header(tip, weight=6).data),
    "header with NaN": ("not_finite", lambda tip: header(tip, l2_norm=float("nan")).data),
    "header with infinity": ("not_finite", lambda tip: header(tip, approx_kl=float("inf")).data),
    "header with more steps than anybody makes": ("malformed", lambda tip: header(tip, env_steps=1 << 53).data),
    "header with a statistic near the largest float": ("not_finite", lambda tip: header(tip, approx_kl=1.7e308).data),
    "header whose tasks take four bytes a letter": (
        "malformed", lambda tip: header(tip, tasks=("\U0001f600" * 48,)).data,
    ),
    "manifest without headers": ("malformed", lambda tip: manifest(tip, admitted=()).data),
    "manifest with a wrong score": ("bad_manifest", lambda tip: manifest(tip, score=10**6).data),
    "manifest with a wrong view": ("bad_manifest", lambda tip: manifest(tip, view=77).data),
    "manifest with wrong env steps": ("bad_manifest", lambda tip: manifest(tip, env_steps=1).data),
    "manifest with a wrong stop": ("bad_manifest", lambda tip: manifest(tip, stop="return").data),
    "manifest with another roster": (
        "bad_manifest", lambda tip: manifest(tip, roster=(RosterEntry("x", 0, 1, 1),)).data,
    ),
    "manifest of a skipped round": ("bad_manifest", lambda tip: manifest(tip, round=tip.round + 2).data),
    "manifest admitting one header twice": (
        "bad_manifest", lambda tip: manifest(tip, admitted=(header(tip).data, header(tip).data)).data,
    ),
    "manifest admitting another base": (
        "bad_manifest", lambda tip: manifest(tip, admitted=(header(tip, base=b"b" * 32).data,)).data,
    ),
    "manifest admitting work that the chain holds": (
        "bad_manifest", lambda tip: manifest(tip, [header(tip, sequence=tip.held_of(SOURCE))]).data,
    ),
    "manifest with another horizon": ("bad_manifest", lambda tip: manifest(tip, horizon=1).data),
    "manifest with a departed peer of its own": (
        "bad_manifest", lambda tip: manifest(tip, departed=(DepartedEntry("x", 1, 1),)).data,
    ),
    "manifest admitting garbage": ("malformed", lambda tip: manifest(tip, admitted=(b"junk",)).data),
    "manifest admitting a forged header": (
        "bad_signature", lambda tip: manifest(tip, admitted=(forged(header(tip).data),)).data,
    ),
    "vote with a wrong round": (
        "bad_ack", lambda tip: seal(Ack(tip.round + 3, tip.parent, tip.digest, tip.model, 0), EVIL, run=RUN).data,
    ),
    "vote that names another parent": (
        "bad_ack", lambda tip: seal(Ack(tip.round, b"p" * 32, tip.digest, tip.model, 0), EVIL, run=RUN).data,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("reason", "make"), BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys())
def test_bad_message_is_refused_by_name_and_changes_nothing(
    machine: RoundMachine, reason: str, make: Callable[[Entry], bytes]
) -> None:
    before = state_of(machine)
    data = make(machine.tip)
    for _ in range(2):  # the second time it comes out of the cache of verified envelopes
        assert refusals(machine.receive(data, payload=None, source=SOURCE, now=15.3)) == [reason]
    assert state_of(machine) == before


def test_older_sequence_neither_replaces_nor_refuses(machine: RoundMachine) -> None:
    new, old = header(machine.tip, sequence=1 << 41), header(machine.tip, sequence=1 << 39)
    for signed in (new, old, old):
        assert refusals(machine.receive(signed.data, payload=PAYLOAD, source=SOURCE, now=15.3)) == []
    held = {signed.peer: signed.digest for signed in machine._ledger.pool.on_base(machine.tip.digest)}
    assert held[SOURCE] == new.digest


@settings(max_examples=60)
@given(position=st.integers(0, 5000), flip=st.integers(1, 255), which=st.integers(0, 2))
def test_mutated_real_messages_never_crash_nor_enter(position: int, flip: int, which: int) -> None:
    swarm = MachineSwarm(2, seed=4)
    swarm.run(5.0)
    victim = swarm.members[0].machine
    tip = victim.tip
    ack = seal(Ack(tip.round, tip.parent, tip.digest, tip.model, 0), EVIL, run=RUN)
    data = bytearray((header(tip).data, manifest(tip).data, ack.data)[which])
    data[position % len(data)] ^= flip
    before = state_of(victim)
    assert len(refusals(victim.receive(bytes(data), payload=None, source=SOURCE, now=5.0))) == 1
    assert state_of(victim) == before
