"""What the process of a peer says about itself in the log: with what it starts, when it trains, and how it ends."""

from collections.abc import Callable, Mapping
from pathlib import Path

import peer
from peer.agents.first_model import long_draw
from peer.agents.native_agent import NativeAgent
from peer.config.digest import digest
from peer.config.goal import stray_goal
from peer.config.schema import Config
from peer.native import PpoSettings
from peer.node import Outcome
from peer.rounds.entry import Entry
from peer.run_folder import RunFolder
from peer.services.shown_results import STOP_REASONS, shown_return
from peer.settings import threads
from peer.storage.boots import BOOTS_FILE, Boot
from peer.storage.slots import Slot
from peer.telemetry.disk_events import StateDamaged
from peer.telemetry.process_events import (
    FirstModelBegun,
    GoalMayBeOutOfReach,
    PeerStarted,
    RunAlreadyFinished,
    RunFinished,
    TrainingStarted,
)
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds


class ProcessReport:
    """Emits the events of one process. age: returns the seconds since it was started."""

    def __init__(
        self, config: Config, slot: Slot, *, peer_id: PeerId, sink: EventSink, age: Callable[[], Seconds]
    ) -> None:
        self._config = config
        self._slot = slot
        self._peer_id = peer_id
        self._sink = sink
        self._age = age

    def makes_learner(self, settings: PpoSettings) -> None:
        """Say so if it takes long: nothing else happens meanwhile."""
        draw = long_draw(self._config.env.name, settings)
        if draw is not None:
            self._sink.emit(FirstModelBegun(weights=draw.weights, about_s=draw.about_s))

    def started(self, boot: Boot, folder: RunFolder, *, num_params: int) -> None:
        """Introduce the peer, and warn of what is odd in its settings or was damaged on disk."""
        self._sink.emit(
            PeerStarted(
                peer_id=self._peer_id,
                version=peer.__version__,
                run=self._config.run.name,
                env=self._config.env.name,
                boot=boot.number,
                data_dir=str(folder.path),
                num_params=num_params,
                config_digest=digest(self._config),
            )
        )
        odd = stray_goal(self._config)
        if odd is not None:
            self._sink.emit(GoalMayBeOutOfReach(env=odd.env, mean_return=odd.mean_return, what=odd.text()))
        if boot.damage:
            path = str(self._slot.path / BOOTS_FILE)
            self._sink.emit(StateDamaged(path=path, cause=boot.damage, remedy=f"counting goes on at {boot.number}"))

    def already_finished(self, root: Entry, folder: RunFolder) -> None:
        """Say why there is nothing to do: a second `up` on the same folder must not look like a failure."""
        self._sink.emit(
            RunAlreadyFinished(
                reason=STOP_REASONS[root.stop],
                rounds=root.round,
                env_steps=root.env_steps,
                mean_return=shown_return(root),
                model=root.model,
                model_path=str(folder.model_file),
                data_dir=str(folder.path),
            )
        )

    def training_started(self, agent: NativeAgent) -> None:
        self._sink.emit(
            TrainingStarted(device=agent.backend_name, threads=threads(self._config), startup_s=self._age())
        )

    def finished(self, outcome: Outcome, *, model_path: Path | None, traffic: Mapping[str, int]) -> None:
        """model_path: None when the disk refused the model. traffic: the transport's counters."""
        self._sink.emit(
            RunFinished(
                reason=STOP_REASONS[outcome.stop],
                rounds=outcome.tip.round,
                peers=len(outcome.tip.members),
                env_steps=outcome.tip.env_steps,
                wall_s=outcome.wall_s,
                bytes_sent=traffic.get("bytes_sent", 0),
                bytes_received=traffic.get("bytes_received", 0),
                mean_return=outcome.mean_return,
                model=outcome.tip.model,
                model_path=None if model_path is None else str(model_path),
            )
        )
