"""Pure work that all peers of a run do on the same bytes, done once a process.

Checking a signature, decoding a payload, checking a manifest by the rules, averaging the admitted deltas and hashing a
model are functions of their arguments alone. Every simulated peer calls them through its own machine, as a real peer
does; here the answers are kept, so that a thousand peers cost less than a thousand times one. What a run reports does
not depend on it; the CPU time of one peer cannot be read off a simulation.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, TypeVar, cast

from peer.codec.codec import Codec
from peer.rounds.entry import Entry
from peer.rounds.group_delta import GroupDelta
from peer.rounds.manifest import Settled
from peer.rounds.parts import Aggregate
from peer.rounds.pure_work import PureWork
from peer.rounds.rules import RoundRules
from peer.types import Contribution, Digest, ModelDelta, ModelSchema, ModelState, PeerId
from peer.wire.envelope import AnySigned, Opener, Signed, Verify, open_envelope
from peer.wire.messages import DeltaHeader, GroupSeal, Manifest

T = TypeVar("T")


class Memory:
    """The last `size` answers by key. An answer may be an exception, which is raised again."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._answers: OrderedDict[Hashable, tuple[Any, Exception | None, Any]] = OrderedDict()

    def answer(self, key: Hashable) -> Any:  # Any: the caller knows what it keeps under `key`
        """Return the answer under `key` if there is one; None where there is none, or an exception."""
        found = self._answers.get(key)
        return None if found is None else found[0]

    def recall(self, key: Hashable, work: Callable[[], T], *, keep: Any = None) -> T:  # Any: only kept alive
        """Return the answer under `key`, from `work` when it is new. keep: objects whose `id` is part of the key."""
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = (*_outcome(work), keep)
            if len(self._answers) > self._size:
                self._answers.popitem(last=False)
        answer, error, _ = found
        if error is not None:
            raise error
        return cast(T, answer)


class SharedWork(PureWork):
    """`PureWork` with a memory. One object for all machines of a simulation, which have the same rules."""

    def __init__(self, peers: int, *, verify: Verify) -> None:
        self._verify = verify
        self._envelopes = Memory(16 * peers + 4096)
        self._headers = Memory(256)
        self._checks = Memory(256)
        self._seals = Memory(1024)
        self._groups = Memory(1024)
        self._hashes = Memory(256)
        self._orders = Memory(256)
        self._changes = Memory(64)
        self._norms = Memory(4 * peers + 256)

    def open(self, data: bytes, *, run: bytes) -> AnySigned:
        found = self._envelopes.answer(data)
        if found is None:
            work = partial(open_envelope, data, run=run, verify=self._verify)
            found = self._envelopes.recall(data, work)
        return cast(AnySigned, found)

    def open_headers(
        self,
        manifest: Manifest,
        *,
        run: bytes,
        opener: Opener,  # noqa: ARG002  # ours remembers more
    ) -> tuple[Signed[DeltaHeader], ...]:
        return self._headers.recall(
            id(manifest),
            lambda: super(SharedWork, self).open_headers(manifest, run=run, opener=self.open),
            keep=manifest,
        )

    def check_manifest(self, parent: Entry, child: Entry, rules: RoundRules) -> Settled:
        key = (parent.digest, child.digest)
        return self._checks.recall(key, lambda: super(SharedWork, self).check_manifest(parent, child, rules))

    def check_group_seal(self, base: Entry, seal: Signed[GroupSeal], rules: RoundRules) -> None:
        key = (base.digest, seal.digest)
        if self._seals.answer(key) is None:
            work = partial(super().check_group_seal, base, seal, rules)
            self._seals.recall(key, lambda: work() or True)

    def group_delta(
        self,
        headers: Sequence[Signed[DeltaHeader]],
        deltas: Sequence[ModelDelta],
        *,
        aggregate: Aggregate,
        codec: Codec,
        schema: ModelSchema,
    ) -> GroupDelta:
        """Payloads are named by their headers, so these say what comes out."""
        work = partial(super().group_delta, headers, deltas, aggregate=aggregate, codec=codec, schema=schema)
        return self._groups.recall((codec.name, *(header.digest for header in headers)), work)

    def seal_order(self, previous: Digest, peers: frozenset[PeerId]) -> list[PeerId]:
        key = (previous, peers)
        return self._orders.recall(key, lambda: super(SharedWork, self).seal_order(previous, peers))

    def changes(
        self, before: frozenset[PeerId], after: frozenset[PeerId]
    ) -> tuple[frozenset[PeerId], frozenset[PeerId]]:
        key = (id(before), id(after))
        work = partial(super().changes, before, after)
        return self._changes.recall(key, work, keep=(before, after))

    def l2_norm(self, delta: ModelDelta) -> float:
        return self._norms.recall(id(delta), lambda: super(SharedWork, self).l2_norm(delta), keep=delta)

    def model_hash(self, state: ModelState) -> Digest:
        return self._hashes.recall(id(state), lambda: super(SharedWork, self).model_hash(state), keep=state)


class SharedCodec:
    """A codec whose decoded payloads are shared: nobody writes to them."""

    def __init__(self, codec: Codec, peers: int) -> None:
        self._codec = codec
        self._decoded = Memory(4 * peers + 256)

    def __getattr__(self, name: str) -> Any:  # whatever else a codec has
        return getattr(self._codec, name)

    def decode(self, data: bytes, schema: ModelSchema) -> ModelDelta:
        return self._decoded.recall(data, lambda: self._codec.decode(data, schema))


class SharedAggregate:
    """An aggregate with a memory. Bases and deltas are known again by identity: they are shared themselves."""

    def __init__(self, aggregate: Aggregate) -> None:
        self._aggregate = aggregate
        self._results = Memory(64)

    def __call__(self, base: ModelState, contributions: Sequence[Contribution], previous: Digest) -> ModelState:
        return self._recall(self._aggregate, base, contributions, previous)

    def group(self, contributions: Sequence[Contribution], previous: Digest) -> Contribution:
        return self._aggregate.group(contributions, previous)  # asked by `SharedWork.group_delta` only, which remembers

    def of_groups(self, base: ModelState, groups: Sequence[Contribution], previous: Digest) -> ModelState:
        return self._recall(self._aggregate.of_groups, base, groups, previous)

    def _recall(
        self,
        step: Callable[[ModelState, Sequence[Contribution], Digest], ModelState],
        base: ModelState,
        contributions: Sequence[Contribution],
        previous: Digest,
    ) -> ModelState:
        key = (
            id(base),
            previous,
            tuple((part.peer, part.weight, part.env_steps, id(part.delta)) for part in contributions),
        )
        kept = (base, [part.delta for part in contributions])
        return self._results.recall(key, lambda: step(base, contributions, previous), keep=kept)


def _outcome(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:  # raised again for everyone who asks: the answer to this input
        return None, error
