"""What a round machine is made of, and the work that is brought to it."""

from dataclasses import dataclass, field

from peer.codec.codec import Codec
from peer.rounds.aggregate import Aggregate
from peer.rounds.pure_work import PureWork
from peer.rounds.rules import RoundRules
from peer.types import Digest, ModelDelta, ModelSchema
from peer.wire.envelope import Signer

__all__ = ["Aggregate", "LocalWork", "Parts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a machine is made of. run: run id, 16 bytes. codec: name of the one that own deltas use."""

    signer: Signer
    run: bytes
    schema: ModelSchema
    rules: RoundRules
    codecs: dict[str, Codec]
    codec: str
    aggregate: Aggregate
    pure: PureWork = field(default_factory=PureWork)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalWork:
    """One finished stretch of training on `base`, without the pieces that were carried into it.

    eval_return: greedy return of the base model, if measured. NaN is not allowed: pass None for "no episode ended".
    """

    base: Digest
    env_steps: int
    delta: ModelDelta
    steps_per_s: int
    approx_kl: float
    mean_return: float | None
    eval_return: float | None
    tasks: tuple[str, ...]
