"""What the rounds of a run are made of, by its config: the same for a peer and for whoever replays its rounds later."""

import hashlib

from peer.agents.agent import Agent
from peer.aggregation.kernels import Kernels
from peer.common_model import aggregation, codecs_of, common_schema, first_state, own_codec
from peer.config.digest import digest, run_id
from peer.config.schema import Config
from peer.native import AggregationKernels
from peer.rounds.entry import Entry, genesis
from peer.rounds.machine import Parts
from peer.rounds.rules import RoundRules
from peer.types import ModelSchema, PeerId
from peer.wire.envelope import Signer


def wire_run_id(config: Config) -> bytes:
    """Return the 16 bytes that every envelope of the run carries."""
    return bytes(run_id(config))[:16]


def round_rules(config: Config) -> RoundRules:
    return RoundRules(
        train_s=config.round.train_s,
        grace_s=config.round.grace_s,
        backup_gap_s=config.round.backup_gap_s,
        miss_limit=config.round.miss_limit,
        history=max(config.round.staleness_limit, config.round.miss_limit) + 2,
        by_steps=config.round.env_steps is not None,
        partition=config.round.partition,
        merge=config.round.merge,
        stop_return=config.stop.mean_return,
        stop_rounds=config.stop.max_rounds,
    )


def local_seed(config: Config, peer: PeerId) -> int:
    """Return the seed of this peer's own episodes and actions: another for every peer, the same in every life."""
    text = f"murmuration local seed {config.run.seed} {peer}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7])


def round_parts(config: Config, *, schema: ModelSchema, signer: Signer, kernels: Kernels | None = None) -> Parts:
    """Return what a round machine is made of, or whoever replays its rounds later (`murmur log --verify`).

    schema: of the agent. kernels: of aggregation, those of the core on one thread if None.
    """
    return Parts(
        signer=signer,
        run=wire_run_id(config),
        schema=common_schema(config, schema),
        rules=round_rules(config),
        codecs=codecs_of(config),
        codec=own_codec(config, schema),
        aggregate=aggregation(config, kernels or AggregationKernels()),
    )


def first_entry(config: Config, agent: Agent) -> Entry:
    """Return round 0 of the run. Call it before the agent has trained: its model is the seeded initial one."""
    return genesis(wire_run_id(config), agent.schema, digest(config), first_state(config, agent))
