"""The allow-list that holds here: the newest valid one, whoever brings it, kept and passed on."""

import random
from collections.abc import Callable
from functools import partial
from typing import Never, Protocol

import trio

from peer.admission.allow_list import AllowList, AllowListFile, open_allow_list
from peer.admission.policy import AdmissionPolicy, FoundList
from peer.errors import ProtocolError, StorageError, TransportError
from peer.network.transport import Transport
from peer.services.service import TaskStatus
from peer.telemetry.disk_events import StorageFailed
from peer.telemetry.peer_events import AllowListAdopted, AllowListRefused, NotAllowed
from peer.telemetry.sink import EventSink
from peer.types import PeerId, Seconds
from peer.wire.admission import ALLOW_LIST_PROTOCOL, AllowListRequest, AllowListResponse, decode, encode

_PASS_ON_S: Seconds = 5.0
"""Between two looks: at the user's file, and at whether a random peer has a newer list. News are passed on at once."""
_REQUEST_S: Seconds = 5.0


class AllowListStore(Protocol):
    """Where allow-lists come from and go to besides other peers: the user's file, and the disk of this peer."""

    def changed(self) -> FoundList | None:
        """Return the user's file once after every change, None else. Raises: StorageError."""

    def keep(self, newest: AllowListFile, /) -> None:
        """Store a list, so that a restart does not fall back to an older one. Raises: StorageError."""


class AllowListDesk:
    """Takes in lists from files and other peers, and says who may take part by the newest of them.

    newest: None while there is none. changed: called when another list holds.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        policy: AdmissionPolicy,
        sink: EventSink,
        rng: random.Random,
        store: AllowListStore | None = None,
    ) -> None:
        """store: None where there are the lists of other peers only."""
        self._transport = transport
        self._policy = policy
        self._sink = sink
        self._rng = rng
        self._store = store
        self._admitted: frozenset[PeerId] = frozenset()
        self._news = trio.Event()
        self._askers: set[PeerId] = set()
        self._unkept: AllowListFile | None = None
        self.changed: Callable[[], None] = lambda: None
        self.newest: AllowList | None = None
        for found in policy.known:
            self._consider(found.data, file=found.file)

    @property
    def allowed(self) -> frozenset[PeerId] | None:
        """Return who may take part, None for everybody. With authorities and no list yet: nobody."""
        if not self._policy.authority.is_set:
            return None
        return self.newest.peers if self.newest else frozenset()

    @property
    def version(self) -> int:
        """Return the version of the list that holds, 0 while there is none."""
        return self.newest.version if self.newest else 0

    def concerns(self, peer: PeerId) -> bool:
        """Return whether `peer` is one that could take part, by the list that holds now."""
        return self.allowed is None or peer in self.allowed

    def objection(self, peer: PeerId) -> ProtocolError | None:
        """Return why `peer` may not take part by the list that holds now, None when it may."""
        if self.concerns(peer):
            return None
        if self.newest is None:
            return ProtocolError("not_allowed", "there is no allow-list yet: set network.allow_list on one peer")
        step = "to let it take part: `murmur allow-list add`, then `sign`"
        return ProtocolError("not_allowed", f"it is not on the allow-list, version {self.version}; {step}")

    def objection_to_us(self) -> ProtocolError | None:
        """Return why nobody takes this peer in: it says so itself, as the others will only close the connection."""
        if self.newest is None or self._transport.local_peer in self.newest.peers:
            return None
        return ProtocolError("not_allowed", f"this peer is not on its allow-list, version {self.version}")

    def reachable(self, peers: frozenset[PeerId]) -> None:
        """Say which peers are connected and were admitted: they are told of news."""
        self._admitted = peers

    def open(self) -> None:
        """Answer those who have an older list; strangers, too, who may be such only because a list is old."""
        if self._policy.authority.is_set:
            self._transport.handle(ALLOW_LIST_PROTOCOL, self._answer, strangers=True)

    async def serve(self, *, task_status: TaskStatus = trio.TASK_STATUS_IGNORED) -> Never:
        """Pass lists on until cancelled."""
        self.open()
        task_status.started()
        if not self._policy.authority.is_set:
            await trio.sleep_forever()
        told = self.newest
        while True:
            self._look_at_file()
            self._keep()
            with trio.move_on_after(_PASS_ON_S):
                await self._news.wait()
            self._news = trio.Event()
            askers, self._askers = self._askers, set()
            whom = sorted(self._admitted if self.newest is not told else askers)
            told = self.newest  # not later: another may come while these are asked
            whom = whom or self._rng.sample(sorted(self._admitted), min(1, len(self._admitted)))
            async with trio.open_nursery() as nursery:
                for peer in whom:
                    nursery.start_soon(partial(self._exchange, peer))

    async def ask(self, peer: PeerId) -> None:
        """Adopt the list of `peer` if it is newer, and show which we have. Raises: as a request and its decoder."""
        asked = encode(AllowListRequest(self.version))
        answer = decode(await self._transport.request(peer, ALLOW_LIST_PROTOCOL, asked), AllowListResponse)
        if answer.data is not None:
            self._consider(answer.data, source=peer)

    def _consider(
        self, data: bytes, *, source: PeerId | None = None, file: str | None = None, new_file: bool = False
    ) -> None:
        """Adopt a list, from a peer or a file, if it is valid and newer than ours. new_file: the user put it there."""
        try:
            found = open_allow_list(data, self._policy.authority, run=self._policy.run)
        except ProtocolError as error:
            self._sink.emit(AllowListRefused(source=source, file=file, cause=error.detail))
            return
        if self.newest is not None and not found.is_newer_than(self.newest):
            if new_file and found.digest != self.newest.digest:
                cause = (
                    f"version {found.version} gives way to version {self.version}, which holds: change and sign that"
                )
                self._sink.emit(AllowListRefused(source=None, file=file, cause=cause))
            return
        self.newest = found
        self._sink.emit(AllowListAdopted(version=found.version, allowed=len(found.peers), source=source))
        if self._transport.local_peer not in found.peers:
            self._sink.emit(NotAllowed(peer_id=self._transport.local_peer, version=found.version))
        self._unkept = found.file
        self._keep()
        self._news.set()
        self.changed()

    def _keep(self) -> None:
        """Store the newest list, or what a disk has refused so far: a restart would let in whom that has taken off."""
        if self._store is None or self._unkept is None:
            return
        try:
            self._store.keep(self._unkept)
            self._unkept = None
        except StorageError as error:
            self._sink.emit(StorageFailed(operation="save the allow-list", cause=str(error)))

    def _look_at_file(self) -> None:
        if self._store is None:
            return
        try:
            found = self._store.changed()
        except StorageError as error:
            self._sink.emit(AllowListRefused(source=None, file=None, cause=str(error)))
            return
        if found is not None:
            self._consider(found.data, file=found.file, new_file=True)

    async def _exchange(self, peer: PeerId) -> None:
        """Failing is normal: the next exchange follows."""
        try:
            with trio.fail_after(_REQUEST_S):
                await self.ask(peer)
        except (TransportError, trio.TooSlowError):
            return
        except ProtocolError as error:
            self._sink.emit(AllowListRefused(source=peer, file=None, cause=error.detail))

    async def _answer(self, peer: PeerId, data: bytes) -> bytes:
        await trio.lowlevel.checkpoint()
        asked = decode(data, AllowListRequest)
        if asked.version > self.version and peer in self._admitted:
            self._askers.add(peer)
            self._news.set()
        newer = self.newest is not None and self.newest.version > asked.version
        return encode(AllowListResponse(self.newest.data if newer and self.newest else None))
