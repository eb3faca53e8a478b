"""The gatekeeper's desk: examines newcomers, and keeps the newest allow-list and passes it on."""

import os
import random
from collections.abc import Callable
from functools import partial
from typing import Never, Protocol

import trio

from peer.admission.allow_list import AllowList, AllowListFile, open_allow_list
from peer.admission.policy import AdmissionPolicy, FoundList
from peer.admission.swarm_key import NONCE_BYTES
from peer.errors import ProtocolError, StorageError, TransportError
from peer.network.transport import Transport
from peer.services.service import TaskStatus
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.peer_events import AllowListAdopted, AllowListRefused, NotAllowed
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.admission import (
    ADMISSION_PROTOCOL,
    ALLOW_LIST_PROTOCOL,
    MAX_REFUSED_CHARS,
    AllowListRequest,
    AllowListResponse,
    Challenge,
    ChallengeAnswer,
    decode,
    encode,
)

_PASS_ON_S: Seconds = 5.0
"""Between two looks: at the user's file, and at whether a random peer has a newer list. News are passed on at once."""
_REQUEST_S: Seconds = 5.0


class AllowListStore(Protocol):
    """Where allow-lists come from and go to besides other peers: the user's file, and the disk of this peer."""

    def changed(self) -> FoundList | None:
        """Return the user's file once after every change, None else. Raises: StorageError."""

    def keep(self, newest: AllowListFile, /) -> None:
        """Store a list, so that a restart does not fall back to an older one. Raises: StorageError."""


class AdmissionDesk:
    """Examines peers whose card fits. Each side examines the other by itself; neither serves before it is content.

    changed: called when another list holds.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        run: bytes,
        policy: AdmissionPolicy,
        sink: EventSink,
        rng: random.Random,
        lists: AllowListStore | None = None,
        denied: Callable[[PeerId], ProtocolError | None] = lambda _: None,
    ) -> None:
        """lists: None where there are those of other peers only. denied: why a peer is refused whatever a list says."""
        self._transport = transport
        self._run = run
        self._policy = policy
        self._sink = sink
        self._rng = rng
        self._lists = lists
        self._denied = denied
        self._admitted: frozenset[PeerId] = frozenset()
        self._news = trio.Event()
        self._askers: set[PeerId] = set()
        self.changed: Callable[[], None] = lambda: None
        self.allow_list: AllowList | None = None
        for found in policy.known:
            self._consider(found.data, file=found.file)

    @property
    def allowed(self) -> frozenset[PeerId] | None:
        """Return who may take part, None for everybody. With authorities and no list yet: nobody."""
        if not self._policy.authority.is_set:
            return None
        return self.allow_list.peers if self.allow_list else frozenset()

    def objection(self, peer: PeerId) -> ProtocolError | None:
        """Return why `peer` may not take part by what is known now, None when it may."""
        proven = self._denied(peer)
        if proven is not None:
            return proven
        if self.allowed is None or peer in self.allowed:
            return None
        if self.allow_list is None:
            return ProtocolError("not_allowed", "there is no allow-list yet: set network.allow_list on one peer")
        step = "to let it take part: `murmur allow-list add`, then `sign`"
        return ProtocolError("not_allowed", f"it is not on the allow-list, version {self.allow_list.version}; {step}")

    def concerns(self, peer: PeerId) -> bool:
        """Return whether `peer` is one that could take part, by the list that holds now."""
        return self.allowed is None or peer in self.allowed

    def _objection_to_us(self) -> ProtocolError | None:
        """Return why nobody takes this peer in: it says so itself, as the others will only close the connection."""
        if self.allow_list is None or self._transport.local_peer in self.allow_list.peers:
            return None
        return ProtocolError("not_allowed", f"this peer is not on its allow-list, version {self.allow_list.version}")

    def admitted(self, peers: frozenset[PeerId]) -> None:
        """Say who takes part now: they are told of news."""
        self._admitted = peers

    def open(self) -> None:
        """Answer those who examine us."""
        self._transport.handle(ADMISSION_PROTOCOL, self._answer, strangers=True)
        if self._policy.authority.is_set:  # a stranger may be one only because its list, or ours, is old
            self._transport.handle(ALLOW_LIST_PROTOCOL, self._answer_list, strangers=True)

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Pass lists on until cancelled."""
        task_status.started()
        if not self._policy.authority.is_set:
            await trio.sleep_forever()
        while True:
            self._look_at_file()
            told = self.allow_list
            with trio.move_on_after(_PASS_ON_S):
                await self._news.wait()
            self._news = trio.Event()
            askers, self._askers = self._askers, set()
            whom = sorted(self._admitted if self.allow_list is not told else askers)
            whom = whom or self._rng.sample(sorted(self._admitted), min(1, len(self._admitted)))
            async with trio.open_nursery() as nursery:
                for peer in whom:
                    nursery.start_soon(partial(self._exchange_lists, peer))

    async def examine(self, peer: PeerId) -> None:
        """Return when `peer` may take part. Raises: ProtocolError with why not; TransportError as a request."""
        answer = await self.challenge(peer)
        objection = self._objection_to_us() or self.objection(peer)
        if objection is not None:
            raise objection
        if answer.refused:
            raise ProtocolError("refused_us", f"it does not take this peer in: {answer.refused}")

    async def challenge(self, peer: PeerId) -> ChallengeAnswer:
        """Return the answer of a peer with our key and our authorities, with its allow-list adopted if that is newer.

        Raises: ProtocolError with what is different; TransportError as a request.
        """
        nonce = os.urandom(NONCE_BYTES)
        data = await self._transport.request(peer, ADMISSION_PROTOCOL, encode(Challenge(nonce)))
        answer = decode(data, ChallengeAnswer)
        self._check_key(peer, nonce, answer.proof)
        if answer.policy != self._policy.authority.policy():
            said = "it believes other authorities: compare network.authorities and network.authority_signatures"
            raise ProtocolError("authorities", said)
        if answer.list_version > self._version:
            await self._ask_for_list(peer)
        return answer

    @property
    def key_fingerprint(self) -> str | None:
        """Return by which people compare swarm keys, None for a swarm without one."""
        return None if self._policy.swarm_key is None else self._policy.swarm_key.fingerprint

    # The list

    @property
    def _version(self) -> int:
        return self.allow_list.version if self.allow_list else 0

    def _consider(
        self, data: bytes, *, source: PeerId | None = None, file: str | None = None, new_file: bool = False
    ) -> None:
        """Adopt a list, from a peer or a file, if it is valid and newer than ours. new_file: the user put it there."""
        try:
            found = open_allow_list(data, self._policy.authority, run=self._policy.run)
        except ProtocolError as error:
            self._sink.emit(AllowListRefused(source=source, file=file, cause=error.detail))
            return
        if self.allow_list is not None and not found.is_newer_than(self.allow_list):
            if new_file and found.digest != self.allow_list.digest:
                cause = (
                    f"version {found.version} gives way to version {self._version}, which holds: change and sign that"
                )
                self._sink.emit(AllowListRefused(source=None, file=file, cause=cause))
            return
        self.allow_list = found
        self._sink.emit(AllowListAdopted(version=found.version, allowed=len(found.peers), source=source))
        self._check_ourselves()
        self._keep(found.file)
        self._news.set()
        self.changed()

    def _check_ourselves(self) -> None:
        if self.allow_list and self._transport.local_peer not in self.allow_list.peers:
            self._sink.emit(NotAllowed(peer_id=self._transport.local_peer, version=self.allow_list.version))

    def _keep(self, newest: AllowListFile) -> None:
        if self._lists is None:
            return
        try:
            self._lists.keep(newest)
        except StorageError as error:
            self._sink.emit(StorageFailed(operation="save the allow-list", cause=str(error)))

    def _look_at_file(self) -> None:
        if self._lists is None:
            return
        try:
            found = self._lists.changed()
        except StorageError as error:
            self._sink.emit(AllowListRefused(source=None, file=None, cause=str(error)))
            return
        if found is not None:
            self._consider(found.data, file=found.file, new_file=True)

    async def _exchange_lists(self, peer: PeerId) -> None:
        """Ask for a newer list, and show which we have. Failing is normal: the next exchange follows."""
        try:
            with trio.fail_after(_REQUEST_S):
                await self._ask_for_list(peer)
        except (TransportError, trio.TooSlowError):
            return
        except ProtocolError as error:
            self._sink.emit(AllowListRefused(source=peer, file=None, cause=error.detail))

    async def _ask_for_list(self, peer: PeerId) -> None:
        asked = encode(AllowListRequest(self._version))
        answer = decode(await self._transport.request(peer, ALLOW_LIST_PROTOCOL, asked), AllowListResponse)
        if answer.data is not None:
            self._consider(answer.data, source=peer)

    async def _answer_list(self, peer: PeerId, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        asked = decode(data, AllowListRequest)
        if asked.version > self._version and peer in self._admitted:
            self._askers.add(peer)
            self._news.set()
        newer = self.allow_list is not None and self.allow_list.version > asked.version
        return encode(AllowListResponse(self.allow_list.data if newer and self.allow_list else None))

    # The key

    def _check_key(self, peer: PeerId, nonce: bytes, proof: bytes | None) -> None:
        key = self._policy.swarm_key
        if key is None and proof is not None:
            raise ProtocolError(
                "swarm_key", "its swarm asks for a swarm key and this peer has none: set network.swarm_key_file"
            )
        if key is None:
            return
        if proof is None:
            raise ProtocolError("swarm_key", "it has no swarm key: give it a copy of network.swarm_key_file")
        if not key.accepts(proof, run=self._run, prover=peer, verifier=self._transport.local_peer, nonce=nonce):
            said = f"its swarm key is not ours ({key.fingerprint}): compare by `murmur swarm-key show`"
            raise ProtocolError("swarm_key", said)

    async def _answer(self, peer: PeerId, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        nonce = decode(data, Challenge).nonce
        proof, key = None, self._policy.swarm_key
        if key is not None:
            proof = key.proof(run=self._run, prover=self._transport.local_peer, verifier=peer, nonce=nonce)
        proven = self._denied(peer)
        refused = "" if proven is None else proven.detail[:MAX_REFUSED_CHARS]
        return encode(ChallengeAnswer(proof, self._policy.authority.policy(), self._version, refused))
