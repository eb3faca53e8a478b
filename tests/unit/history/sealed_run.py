"""A run of two peers on disk, made by the code that makes real ones: machines, archive, run folder, native model."""

from pathlib import Path

import numpy as np
import trio

from peer.agents.native_agent import NativeAgent
from peer.config.load import load_config
from peer.config.schema import Config
from peer.known_envs import KnownEnvs
from peer.network.identity import Identity
from peer.round_parts import first_entry, round_parts
from peer.rounds.effects import Effect, Publish
from peer.rounds.entry import Entry
from peer.rounds.machine import LocalWork, RoundMachine
from peer.run_folder import RunFolder
from peer.settings import ppo_settings
from peer.telemetry.sink import RecordingSink
from peer.types import ModelDelta, Moments
from peer.wire.messages import decode_announcement

ME, OTHER = Identity.for_tests(1), Identity.for_tests(2)
CONFIG: Config = load_config(
    [], {}, ["model.hidden=[3]", "round.snapshot_every=4", "stop.mean_return=null"], known_envs=KnownEnvs()
)


def make_run(slot: Path, *, rounds: int, config: Config = CONFIG, max_payload_bytes: int = 1 << 20) -> Path:
    """Return the folder of a run in which both peers contribute to every round but the third and fourth."""
    storage = config.storage.model_copy(update={"max_payload_bytes": max_payload_bytes})
    sink = RecordingSink()
    with RunFolder(slot, config.model_copy(update={"storage": storage}), sink=sink) as folder:
        folder.describe(peer=ME.peer_id, name="peer-1")
        pair = Pair(config)
        folder.archive.take_payloads_from(pair.mine.blob)
        for number in range(1, rounds + 1):
            for effect in pair.seal(alone=number == 3):
                folder.archive.observe(effect)
            trio.run(folder.archive._write_pending)
        trio.run(folder.archive.flush, pair.mine.tip)
        folder.save_model(pair.mine.tip)
    return folder.path


class Pair:
    """Two round machines that hear each other at once. `seal` is one more round, as the first peer sees it."""

    def __init__(self, config: Config = CONFIG) -> None:
        self.agent = NativeAgent(config.env.name, settings=ppo_settings(config, ME.peer_id))
        self.now = 0.0
        self.mine, self.others = (
            RoundMachine(
                round_parts(config, schema=self.agent.schema, signer=identity),
                root=first_entry(config, self.agent),
                sequence=0,
                now=0.0,
            )
            for identity in (ME, OTHER)
        )
        both = frozenset((ME.peer_id, OTHER.peer_id))
        for machine, me in ((self.mine, ME.peer_id), (self.others, OTHER.peer_id)):
            machine.start(0.0)
            machine.reachable(both - {me}, 0.0)

    def seal(self, *, alone: bool = False) -> list[Effect]:
        self.now += 2.0
        seen: list[Effect] = []
        number = self.mine.tip.round + 1
        self._spread(self.mine, self.mine.announce(self._work(self.mine.tip, number), self.now), seen)
        if not alone:
            self._spread(self.others, self.others.announce(self._work(self.others.tip, number + 7), self.now), seen)
        while self.mine.tip.round < number or self.others.tip.round < number:
            self.now += 0.5
            for machine in (self.mine, self.others):
                self._spread(machine, machine.tick(self.now), seen)
        return seen

    def _spread(self, source: RoundMachine, effects: list[Effect], seen: list[Effect]) -> None:
        if source is self.mine:
            seen += effects
        target = self.others if source is self.mine else self.mine
        sender = ME.peer_id if source is self.mine else OTHER.peer_id
        for effect in effects:
            if isinstance(effect, Publish):
                said = decode_announcement(effect.data)
                answer = target.receive(said.envelope, payload=said.payload, source=sender, now=self.now)
                self._spread(target, answer, seen)

    def _work(self, base: Entry, seed: int) -> LocalWork:
        rng = np.random.default_rng(seed)
        schema = self.agent.schema
        delta = rng.standard_normal(schema.num_params).astype(np.float32)
        return LocalWork(
            base=base.digest,
            env_steps=100 * seed,
            delta=ModelDelta(params=delta, moments=Moments.empty(schema.num_moments)),
            steps_per_s=50,
            approx_kl=0.0,
            mean_return=float(seed),
            eval_return=2.0,
            tasks=("standard",),
        )
