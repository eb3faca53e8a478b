"""What several tests of whole swarms share."""

import hashlib

import pytest

from peer.rounds.machine import RoundMachine
from tests.swarm.machine_swarm import MachineSwarm


@pytest.fixture
def sha256_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name payloads, snapshots and models by SHA-256, as when the lives that once failed were recorded by their seeds.

    Names decide who seals and which of two equal chains is followed: under others, the same seed is another life. The
    protocol takes any hash of 32 bytes.
    """
    monkeypatch.setattr("peer.wire.hashing.blake3", hashlib.sha256)


@pytest.fixture
def machine() -> RoundMachine:
    """A machine of three peers in the middle of a run."""
    swarm = MachineSwarm(3, seed=4)
    swarm.run(15.3)
    return swarm.members[0].machine
