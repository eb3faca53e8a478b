"""The loop around the failure detector: asks over the network, tells what it hears, acts on verdicts.

What a verdict changes: a suspect is named in the log and still waited for; one that is given up leaves `reachable`,
so that no round waits for it, and its connection is closed (docs/adr/0043).
"""

import random
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Never

import trio

from peer.errors import ProtocolError, TransportError
from peer.membership.detector import FailureDetector
from peer.membership.effects import Ask, AskThrough, Died, MemberEffect, Returned, Suspected
from peer.membership.timing import Timing
from peer.network.flood import Rate, Throttle
from peer.network.transport import Transport
from peer.services.refusals import tell_refused
from peer.services.service import TaskStatus
from peer.telemetry.counters import Counters
from peer.telemetry.peer_events import PeerReturned, PeerSuspected
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.envelope import Signer
from peer.wire.membership import (
    PROBE_PROTOCOL,
    Probe,
    ProbeAnswer,
    Statement,
    decode_probe,
    decode_probe_answer,
    encode_probe,
    make_statement,
    open_statement,
    raw_statements,
)

MAX_ERRANDS = 16
"""Members asked for others at a time, each once for all who want to know; above it, a helper says no at once."""

STATEMENTS = Rate(per_s=100.0, burst=400.0)
"""Of one member, that are looked at: each has a signature to be checked. An honest one brings eight with each question,
and has others asked about 16 members every 3.5 s at most."""

REQUEST_S: Seconds = 10.0
"""Deadline of a question as such; how long its answer is of use is for the detector to say. A request that is cancelled
while its bytes are on their way can cost the connection, so questions are left to end by themselves."""

GiveUp = Callable[[PeerId, str], Awaitable[None]]


class Membership:
    """Watches over the greeted peers. give_up: makes one of them count as gone, and says why."""

    def __init__(
        self,
        transport: Transport,
        *,
        signer: Signer,
        run: bytes,
        incarnation: int,
        give_up: GiveUp,
        sink: EventSink,
        counters: Counters,
        rng: random.Random,
    ) -> None:
        """incarnation: higher than in any earlier life of this identity."""
        self._transport = transport
        self._run = run
        self._give_up = give_up
        self._sink = sink
        self._counters = counters
        self._timing = Timing()
        self._peers: frozenset[PeerId] = frozenset()
        self._errands: dict[PeerId, trio.Event] = {}  # those under way, by whom they ask
        self._statements = Throttle({"statements": STATEMENTS})
        self._nursery: trio.Nursery | None = None
        self.detector = FailureDetector(
            signer.peer_id,
            incarnation=incarnation,
            make_statement=partial(make_statement, signer=signer, run=run),
            draw=rng.sample,
            now=trio.current_time(),
            timing=self._timing,
        )

    def reachable(self, peers: frozenset[PeerId]) -> None:
        """Say which peers are connected and were admitted."""
        self._peers = peers
        self._carry_out(self.detector.members(peers, trio.current_time()))

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Watch until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._transport.handle(PROBE_PROTOCOL, self._answer)
            task_status.started()
            try:
                await self._tick_forever()
            finally:
                self._nursery = None  # the transport outlives this loop, and goes on serving
        raise AssertionError("the loop above never ends")

    async def _tick_forever(self) -> Never:
        while True:
            await trio.sleep(self._timing.tick_s)
            for peer in self._peers:
                self._carry_out(self.detector.heard(peer, self._transport.heard_at(peer)))
            self._carry_out(self.detector.tick(trio.current_time()))

    # Verdicts

    def _carry_out(self, effects: Iterable[MemberEffect]) -> None:
        for effect in effects:
            match effect:
                case Ask():
                    self._start(partial(self._ask, effect))
                case AskThrough():
                    self._start(partial(self._ask_through, effect))
                case Suspected():
                    self._counters.add("peers_suspected")
                    self._sink.emit(
                        PeerSuspected(remote=effect.peer, by=effect.by, silent_s=effect.silent_s, left_s=effect.left_s)
                    )
                case Returned():
                    self._sink.emit(PeerReturned(remote=effect.peer, silent_s=effect.silent_s))
                case Died():
                    self._counters.add("peers_given_up")
                    self._start(partial(self._give_up, effect.peer, _cause(effect)))

    def _start(self, task: Callable[[], Awaitable[None]]) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(task)

    # Questions

    async def _ask(self, question: Ask) -> None:
        answer = await self._request(question.peer, None)
        if answer is not None:
            self._carry_out(self.detector.answered(question.peer, trio.current_time()))

    async def _ask_through(self, question: AskThrough) -> None:
        answer = await self._request(question.helper, question.target)
        if answer is not None:
            self._carry_out(
                self.detector.helper_answered(
                    question.helper, question.target, trio.current_time(), reached=answer.reached
                )
            )

    async def _request(self, peer: PeerId, target: PeerId | None) -> ProbeAnswer | None:
        probe = encode_probe(Probe(target, raw_statements(self.detector.statements_for(peer))))
        with trio.move_on_after(REQUEST_S):
            try:
                answer = decode_probe_answer(await self._transport.request(peer, PROBE_PROTOCOL, probe))
                self._take_in(answer.statements)
            except ProtocolError as error:
                tell_refused(error, peer, counters=self._counters, sink=self._sink)
            except TransportError:
                pass  # the detector's own clock tells what silence means
            else:
                return answer
        return None

    async def _answer(self, peer: PeerId, data: bytes) -> bytes:
        """Answer a question; for strangers nothing is done, and nobody asked."""
        probe = decode_probe(data)
        if peer not in self._peers:
            return encode_probe(ProbeAnswer(probe.target is None, ()))
        if self._statements.admits(peer, "statements", trio.current_time(), amount=len(probe.statements)):
            self._take_in(probe.statements)
        else:
            self._counters.add("statements_unread")
        reached = probe.target is None or await self._run_errand(PeerId(probe.target))
        return encode_probe(ProbeAnswer(reached, raw_statements(self.detector.statements_for(peer))))

    async def _run_errand(self, target: PeerId) -> bool:
        """Ask `target` on behalf of another, in so little time that a no still arrives.

        One that was heard just now is there: whoever has us ask it again and again is not to make a flooder of us.
        """
        if target not in self._peers:
            return False
        if trio.current_time() - self._transport.heard_at(target) <= self._timing.tick_s:
            return True
        answered = self._errand_to(target)
        if answered is None:
            return False
        with trio.move_on_after(0.8 * self._timing.indirect_s):
            await answered.wait()
        return answered.is_set()

    def _errand_to(self, target: PeerId) -> trio.Event | None:
        """Return what is set once `target` answers; None when there is no time for it."""
        if target not in self._errands:
            if self._nursery is None or len(self._errands) >= MAX_ERRANDS:
                return None
            self._errands[target] = trio.Event()  # before its task runs: many may want to know in one moment
            self._start(partial(self._ask_for_another, target, self._errands[target]))
        return self._errands[target]

    async def _ask_for_another(self, target: PeerId, answered: trio.Event) -> None:
        try:
            if await self._request(target, None) is not None:
                answered.set()
        finally:
            del self._errands[target]

    def _take_in(self, statements: Iterable[Statement]) -> None:
        """Raises: ProtocolError at the first statement that is none; those before it count."""
        for statement in statements:
            signed = open_statement(statement, run=self._run)
            self._carry_out(self.detector.receive((signed,), trio.current_time()))


def _cause(died: Died) -> str:
    return f"no answer for {died.silent_s:.1f} s (suspected by {died.by})"
