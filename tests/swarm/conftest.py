"""What several tests of whole swarms share."""

import hashlib

import pytest


@pytest.fixture
def sha256_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name payloads, snapshots and models by SHA-256, as when the lives that once failed were recorded by their seeds.

    Names decide who seals and which of two equal chains is followed: under others, the same seed is another life. The
    protocol takes any hash of 32 bytes.
    """
    monkeypatch.setattr("peer.wire.hashing.blake3", hashlib.sha256)
