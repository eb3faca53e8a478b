"""Manifests as a liar on the roster can make them up: they follow by the rules, and nobody has what they admit."""

from collections.abc import Iterator
from itertools import count

import numpy as np

from peer.codec.registry import CODECS
from peer.network.identity import Identity
from peer.rounds.entry import Entry, entry_of
from peer.rounds.manifest import build_manifest, check_manifest, outcome_of
from peer.rounds.rules import RoundRules
from peer.types import Digest, ModelDelta, Moments
from peer.wire.envelope import seal
from peer.wire.hashing import digest_of
from peer.wire.messages import DeltaHeader
from tests.swarm.machine_swarm import RUN

RULES = RoundRules()
LIAR, OTHER = Identity.for_tests(2), Identity.for_tests(3)
"""Both on the roster of `MachineSwarm(3)` at NOW."""
NOW = 15.3
PAYLOAD = CODECS["float32"].encode(ModelDelta(params=np.full(6, 1e-3, np.float32), moments=Moments.empty(2)))
_numbers: Iterator[int] = count(1 << 40)


def successor(parent: Entry, sealer: Identity, *, author: Identity | None = None) -> Entry:
    """Return a manifest on `parent` that is sound but for its model, and lacks its payload."""
    number = next(_numbers)
    header = DeltaHeader(
        round=parent.round + 1, base=parent.digest, sequence=number, payload=digest_of(b"%d" % number),
        payload_bytes=len(PAYLOAD), codec="float32", env_steps=5, weight=5, steps_per_s=100, l2_norm=1.0, approx_kl=0.0,
        mean_return=None, eval_return=None, tasks=(),
    )  # fmt: skip
    headers = [seal(header, author or sealer, run=RUN)]
    outcome = outcome_of(parent, headers, RULES)
    body = build_manifest(
        parent, headers, sealer=sealer.peer_id, rejected=(), outcome=outcome, model=Digest(b"m" * 32), parts=b""
    )
    entry = entry_of(seal(body, sealer, run=RUN), tuple(headers))
    check_manifest(parent, entry, RULES).settle(entry)
    return entry
