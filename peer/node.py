"""One peer's part in a run: the one nursery that all its services live in, and how it ends."""

import math
from dataclasses import dataclass

import trio

from peer.assembly import assemble
from peer.config.schema import Config
from peer.node_services import make_machine
from peer.peer_parts import PeerParts
from peer.rounds.effects import Applied, Effect, SnapshotApplied
from peer.rounds.entry import Entry
from peer.rounds.machine import RoundMachine
from peer.services.sessions import SessionDesk
from peer.services.shown_results import shown_return
from peer.telemetry.peer_events import OwnIdentityRunsTwice
from peer.types import Seconds

_LINGER_LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended here. stop: why the peers agreed to stop, "" when this peer was told to.

    superseded_by: the newer process that runs with this peer's identity, and so ended the run here; None otherwise.
    """

    tip: Entry
    stop: str
    mean_return: float
    wall_s: Seconds
    superseded_by: OwnIdentityRunsTwice | None = None


class Ending:
    """An observer that notices the agreed end of the run and remembers the last known return."""

    def __init__(self, root: Entry) -> None:
        """root: where this peer starts; a peer that was restarted after the end has nothing left to do."""
        self.reached = trio.Event()
        self.mean_return = math.nan
        self._look_at(root)

    def observe(self, effect: Effect) -> None:
        if isinstance(effect, Applied | SnapshotApplied):
            self._look_at(effect.entry)

    def _look_at(self, entry: Entry) -> None:
        value = shown_return(entry)
        self.mean_return = value if math.isfinite(value) else self.mean_return
        if entry.stop:
            self.reached.set()


async def run_peer(config: Config, parts: PeerParts) -> Outcome:
    """Take part in the run until the peers agree to stop, or the caller cancels; then say how it ended.

    On cancellation the state is saved under a shield first.
    """
    started = trio.current_time()
    parts.transport.admit(frozenset())  # nobody yet: who connected meanwhile has not been greeted
    machine = make_machine(config, parts)
    ending = Ending(machine.tip)
    services = assemble(config, parts, machine, observer=ending)
    sessions = services.running.sessions
    try:
        async with trio.open_nursery() as nursery:
            await services.start(nursery)
            parts.running(services.running)
            nursery.start_soon(_leave_to_newer, sessions, nursery.cancel_scope)
            await ending.reached.wait()
            await _linger(machine, linger_s=config.stop.linger_s)
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await services.save()
    return Outcome(
        tip=machine.tip,
        stop=machine.tip.stop,
        mean_return=ending.mean_return,
        wall_s=trio.current_time() - started,
        superseded_by=sessions.newer,
    )


async def _leave_to_newer(sessions: SessionDesk, run: trio.CancelScope) -> None:
    await sessions.superseded()
    run.cancel()


async def _linger(machine: RoundMachine, *, linger_s: Seconds) -> None:
    """Stay to serve the last manifest until every reachable member has it, but not for ever."""
    with trio.move_on_after(linger_s):
        while not machine.members_finished():  # noqa: ASYNC110  # ten looks a second, once in a run
            await trio.sleep(_LINGER_LOOK_S)
        await trio.sleep(_LINGER_LOOK_S)  # our own ack is still on its way to those who wait for it
