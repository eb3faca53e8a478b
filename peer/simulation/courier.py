"""Between the machines and the network: carries out effects, brings mail, wakes machines when they ask for it."""

import random
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt

from peer.rounds.effects import Effect, FetchPayload, FetchSnapshot, OpenRound, Publish, SyncWith
from peer.rounds.machine import Mail, RoundMachine
from peer.simulation.attacks.attack import Insight, Letter
from peer.simulation.event_loop import EventLoop
from peer.simulation.judge import Judge
from peer.simulation.mail_bags import MailBags
from peer.simulation.peer_life import LATE_ROUNDS, RECOVERY_S, PeerLife
from peer.simulation.post import CONNECTIONS, Post
from peer.simulation.scenario import Scenario
from peer.types import Digest, PeerId, Seconds
from peer.wire.hashing import digest_of
from peer.wire.limits import MAX_ANNOUNCEMENT_BYTES
from peer.wire.messages import Announcement
from peer.wire.sync import encode

_RECONNECT_S = 0.25
"""How long connections take to tell of a crash, a start, or a cut."""
_CROWD_RECONNECT_S = 1.0
"""The same where there are more peers than connections: of most peers it is others that tell."""
_SHORTEST_TRAINING_S = 0.05
_MIN_TICK_S = 0.005
_NOT_SERVED_S = 0.5
_FRAME_BYTES = 64
"""Around a request or an answer; a request for a blob is no more."""

_decode = msgspec.msgpack.Decoder(Announcement).decode


class Courier:
    """Runs all machines on one event loop. Each takes in a whole bag of mail at once, and then moves on."""

    def __init__(
        self,
        scenario: Scenario,
        loop: EventLoop,
        post: Post,
        peers: list[PeerLife],
        judge: Judge,
        insight: Insight,
    ) -> None:
        self._anti_entropy_s = scenario.anti_entropy_s
        self._loop = loop
        self._post = post
        self._peers = peers
        self._by_id: dict[PeerId, PeerLife] = {peer.peer_id: peer for peer in peers}
        self._judge = judge
        self._insight = insight
        self._rng = random.Random(f"{scenario.seed}/courier")
        self._alive: npt.NDArray[np.bool_] = np.zeros(len(peers), np.bool_)
        self._is_crowd = len(peers) > CONNECTIONS
        self._bags = MailBags(loop, latency_s=scenario.latency_s, is_crowd=self._is_crowd, hand_over=self._hand_over)
        self._reconnecting = False
        self._arms: dict[type, Callable[..., None]] = {
            Publish: self._publish,
            FetchPayload: self._fetch_payload,
            FetchSnapshot: self._fetch_snapshot,
            SyncWith: lambda peer, effect: self._sync(peer, self._by_id[effect.peer]),
            OpenRound: self._train,
        }

    def begin_life(self, peer: PeerLife) -> None:
        """Let a peer that has just started speak for the first time."""
        self._carry_out(peer, peer.machine.start(self._loop.now))
        self.reconnect()
        self._exchange_later(peer, peer.life, first=True)

    def reconnect(self) -> None:
        """Tell every live peer, in a moment, whom it can reach."""
        if not self._reconnecting:
            self._reconnecting = True
            self._loop.after(_CROWD_RECONNECT_S if self._is_crowd else _RECONNECT_S, self._tell_reachable)

    # Time

    def _act(self, peer: PeerLife, life: int, act: Callable[[RoundMachine], list[Effect]]) -> None:
        if peer.is_alive and peer.life == life:
            self._carry_out(peer, act(peer.machine))

    def _wake_later(self, peer: PeerLife) -> None:
        """Call `tick` when the machine asks for it and at no other time, as the real loop does."""
        wake, now = peer.machine.next_wake(), self._loop.now
        if wake is None or (peer.wake_at is not None and now < peer.wake_at <= wake):
            return  # nothing to wake for, or a call that is already planned comes first and looks again
        at = peer.wake_at = max(wake, now + _MIN_TICK_S)
        life = peer.life

        def tick() -> None:
            if peer.wake_at == at:
                peer.wake_at = None
                self._act(peer, life, lambda machine: machine.tick(at))

        self._loop.at(at, tick)

    def _tell_reachable(self) -> None:
        self._reconnecting = False
        self._alive = np.asarray([peer.is_alive for peer in self._peers])
        groups: dict[int, frozenset[PeerId]] = {}
        for group in set(self._post.group.tolist()):
            members = np.flatnonzero(self._alive & (self._post.group == group))
            groups[group] = frozenset(self._peers[number].peer_id for number in members)
        for number in np.flatnonzero(self._alive):
            peer = self._peers[number]
            self._carry_out(peer, peer.machine.reachable(groups[int(self._post.group[number])], self._loop.now))

    # Effects

    def _carry_out(self, peer: PeerLife, effects: list[Effect]) -> None:
        for effect in effects:
            arm = self._arms.get(type(effect))
            if arm is not None:
                arm(peer, effect)
            self._judge.observe(peer, effect)
        if peer.is_alive:
            self._wake_later(peer)

    def _publish(self, peer: PeerLife, effect: Publish) -> None:
        announcement = _decode(effect.data)
        letters = [Letter(envelope=announcement.envelope, payload=announcement.payload)]
        if peer.attack is not None:
            letters = peer.attack.send(letters[0])
        for letter in letters:
            if effect.to is None:
                self._gossip(peer, letter)
            else:
                self._hand_to(peer, letter, effect.to)

    def _gossip(self, peer: PeerLife, letter: Letter) -> None:
        size = len(letter.envelope) + len(letter.payload or b"")
        if size > MAX_ANNOUNCEMENT_BYTES:
            self._judge.blame(peer, "oversize")  # every transport refuses it
            return
        audience = self._alive if letter.half is None else self._alive & self._half(letter.half)
        receivers, delays = self._post.gossip(peer.number, audience, size)
        self._bags.put((letter.envelope, letter.payload, peer.peer_id), receivers, delays)

    def _hand_to(self, peer: PeerLife, letter: Letter, to: Sequence[PeerId]) -> None:
        """Send a letter to some peers over one link each."""
        size = _FRAME_BYTES + len(letter.envelope) + len(letter.payload or b"")
        numbers = [self._by_id[receiver].number for receiver in to]
        if letter.half is not None:
            numbers = [number for number in numbers if number % 2 == letter.half]
        receivers, delays = self._post.hand(peer.number, np.asarray(numbers, np.intp), size)
        self._bags.put((letter.envelope, letter.payload, peer.peer_id), receivers, delays)

    def _half(self, half: int) -> npt.NDArray[np.bool_]:
        return np.asarray(np.arange(len(self._peers)) % 2 == half)

    def _hand_over(self, number: int, mail: list[Mail]) -> None:
        peer = self._peers[number]
        if peer.is_alive:
            if peer.attack is not None:
                peer.attack.overhear(mail)
            self._carry_out(peer, peer.machine.receive_all(mail, self._loop.now))

    # Requests

    def _exchange_later(self, peer: PeerLife, life: int, *, first: bool = False) -> None:
        def exchange() -> None:
            if peer.is_alive and peer.life == life:
                other = self._peers[self._rng.randrange(len(self._peers))]
                if other is not peer and other.is_alive:
                    self._sync(peer, other)
                self._exchange_later(peer, life)

        low = 0.1 if first else 0.75 * self._anti_entropy_s
        self._loop.after(self._rng.uniform(low, 1.25 * self._anti_entropy_s), exchange)

    def _sync(self, peer: PeerLife, other: PeerLife) -> None:
        """One request and answer; the answer is made when the request arrives."""
        life = peer.life
        request = peer.machine.sync_request()
        if not self._post.passes(peer.number, other.number, _FRAME_BYTES + len(encode(request))):
            return

        def answer() -> None:
            if not other.is_alive:
                return
            response = other.machine.answer_sync(request, source=peer.peer_id)
            if self._post.passes(other.number, peer.number, _FRAME_BYTES + len(encode(response))):
                take = partial(RoundMachine.receive_sync, response=response, source=other.peer_id, asked=request)
                self._loop.after(self._post.delay(), partial(self._arrive, peer, life, take))

        self._loop.after(self._post.delay(), answer)

    def _arrive(self, peer: PeerLife, life: int, take: Callable[..., list[Effect]]) -> None:
        self._act(peer, life, lambda machine: take(machine, now=self._loop.now))

    def _fetch_payload(self, peer: PeerLife, effect: FetchPayload) -> None:
        arrive = partial(RoundMachine.receive_payload, payload=effect.payload)
        self._pull(peer, effect.payload, list(effect.holders), arrive, others=True)

    def _fetch_snapshot(self, peer: PeerLife, effect: FetchSnapshot) -> None:
        blob = Digest(effect.offer.blob)
        arrive = partial(RoundMachine.receive_snapshot, blob=blob, source=effect.holder)
        self._pull(peer, blob, [effect.holder], arrive, others=False)

    def _pull(
        self, peer: PeerLife, blob: Digest, holders: list[PeerId], arrive: Callable[..., list[Effect]], *, others: bool
    ) -> None:
        """Ask `holders` first, then some others; each that has nothing costs a round trip."""
        asked = [self._by_id[holder] for holder in holders if holder != peer.peer_id and holder in self._by_id]
        if others:
            asked += [self._peers[self._rng.randrange(len(self._peers))] for _ in range(8)]
        took: Seconds = 0.0
        for other in asked:
            took += self._post.delay() + self._post.delay()
            data = self._ask(peer, other, blob)
            if data is not None:
                self._loop.after(took, partial(self._arrive, peer, peer.life, partial(arrive, data=data)))
                return
        failed = partial(RoundMachine.payload_failed, payload=blob)
        self._loop.after(took + _NOT_SERVED_S, partial(self._arrive, peer, peer.life, failed))

    def _ask(self, peer: PeerLife, other: PeerLife, blob: Digest) -> bytes | None:
        if not other.is_alive or not self._post.passes(peer.number, other.number, _FRAME_BYTES):
            return None
        data = other.machine.blob(blob)
        if other.attack is not None:
            data = other.attack.serve(blob, data)
        size = _FRAME_BYTES + len(data or b"")
        if data is None or not self._post.passes(other.number, peer.number, size):
            return None
        if digest_of(data) != blob:  # whoever pulls checks that, and turns to the next holder
            self._judge.blame(other, "payload_hash")
            return None
        return data

    # Training

    def _train(self, peer: PeerLife, effect: OpenRound) -> None:
        peer.open_round(effect, self._loop.now)
        overtaken = peer.rounds_open >= LATE_ROUNDS
        train_s = 0.0 if overtaken else peer.pace.seconds * peer.speed - effect.late_s
        self._finish_after(max(train_s, _SHORTEST_TRAINING_S), peer, effect)

    def _finish_after(self, delay: Seconds, peer: PeerLife, opened: OpenRound) -> None:
        """Hand over then what was learned for `opened`, unless it has been replaced."""
        life = peer.life

        def finish() -> None:
            if peer.is_alive and peer.life == life and peer.opened is opened and not peer.machine.finished:
                self._announce(peer, opened)

        self._loop.after(delay, finish)

    def _announce(self, peer: PeerLife, opened: OpenRound) -> None:
        try:
            work = peer.train(self._loop.now)
        except ArithmeticError:
            self._discard(peer, opened)
            return
        if peer.attack is not None:
            work = peer.attack.tamper(work)
        else:
            self._insight.add(work)
        try:
            effects = peer.machine.announce(work, self._loop.now)
        except ValueError:
            if not peer.is_honest:
                return  # its own machine would not say that; an attacker's says nothing then
            if work.base != peer.tip.digest:
                raise  # not a mistake of the learner
            self._discard(peer, opened)
            return
        self._carry_out(peer, effects)

    def _discard(self, peer: PeerLife, opened: OpenRound) -> None:
        """Take up the round again a moment later, without the work that diverged, as peer/services/training.py."""
        self._judge.diverged(peer)
        again = peer.start_over(opened, at=self._loop.now + RECOVERY_S)
        self._finish_after(RECOVERY_S + _SHORTEST_TRAINING_S, peer, again)
