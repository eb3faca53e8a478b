"""Every key a user may set, with its type, range and default: one frozen model a section.

The meaning, unit and origin of each default stand beside it in `configs/config.yaml`; a test keeps the two
equal. Values are strict: no text is read as a number. NaN and infinity are refused everywhere.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from peer.addresses import TcpAddress, parse_tcp_address

MAX_SEED = 2**63 - 1
"""Seeds fit a signed 64-bit integer, so that SQLite, JSON readers and C++ all hold them."""


MIN_NORMAL_FLOAT32 = 2.0**-126
"""The C++ core computes in single precision, where less than this is 0 or, on some processors, taken for 0."""

MAX_BATCH = 2**26
"""Steps of one rollout; the C++ core holds them all in memory, and has the same bound."""


def _check_host(text: str) -> str:
    kind = "ip6" if ":" in text else "ip4"  # a name would be resolved differently on every machine
    parse_tcp_address(f"/{kind}/{text}/tcp/0")
    return text


def _check_address(text: str) -> str:
    _parsed(text)
    return text


def _check_announced(text: str) -> str:
    """What others are told must lead to us from where they are, and they know whose it is."""
    address = _parsed(text)
    if address.port == 0:
        raise _unfit("nobody can dial port 0")
    if address.is_unspecified:
        raise _unfit(f"{address.host} is an address to listen on, which nobody can dial")
    if address.is_number:
        raise _unfit(f"{address.host} is a number and no name: write it as /ip4/<address>/tcp/{address.port}")
    if address.peer is not None:
        raise _unfit("leave out /p2p/...: others know whose address it is")
    return text


def _parsed(text: str) -> TcpAddress:
    try:
        return parse_tcp_address(text)
    except ValueError as error:
        raise _unfit(str(error)) from error


def _unfit(why: str) -> PydanticCustomError:
    """Return the error for one value of the right type, with what the description of the key leaves open."""
    return PydanticCustomError("unfit", "{why}", {"why": why})


def _check_bound(value: float) -> float:
    if 0.0 < value < MIN_NORMAL_FLOAT32:
        raise ValueError("not a normal number in single precision")
    return value


Slug = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,48}\z", description="1 to 48 characters of a-z, 0-9 and '-'")]
HostName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?\z",
        description="a DNS name such as peer or seed.example.org",
    ),
]
Multiaddr = Annotated[
    str, AfterValidator(_check_address), Field(description="a multiaddr such as /ip4/192.0.2.7/tcp/4001")
]
PeerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,63}\z", description="1 to 63 letters, digits and '_.-'")]
AnnouncedAddress = Annotated[
    str, AfterValidator(_check_announced), Field(description="a multiaddr such as /ip4/192.0.2.7/tcp/4001")
]
InterfaceName = Annotated[
    str, Field(pattern=r"^[^/\s\x00]{1,15}\z", description="a network interface such as eth0 or tailscale0")
]
PeerIdText = Annotated[
    str,
    Field(pattern=r"^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}\z", description="a peer id, as murmur identity show prints it"),
]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
FractionBelowOne = Annotated[float, Field(ge=0.0, lt=1.0)]
Period = Annotated[float, Field(ge=0.05, le=3600.0)]
"""Seconds between two turns of a loop; the lower bound keeps a typing error from spinning a core."""
Bound = Annotated[
    float,
    Field(ge=0.0, le=1e6),
    AfterValidator(_check_bound),
    Field(description=f"0 (off), or a number from {MIN_NORMAL_FLOAT32:.9g} to 1000000.0"),
]
ValueBound = Annotated[
    float,
    Field(ge=0.0, le=1000.0),
    AfterValidator(_check_bound),
    Field(description=f"0 (off), or a number from {MIN_NORMAL_FLOAT32:.9g} to 1000.0"),
]
LayerSize = Annotated[int, Field(ge=1, le=4096)]
EpisodeSeed = Annotated[int, Field(ge=0, le=MAX_SEED)]

DENSE_RULES = frozenset({"median", "trimmed-mean"})
"""Aggregation rules that cannot work on sparse codecs; the registry of the rules says the same (`needs_dense`)."""


class Section(BaseModel):
    """Base of all sections: immutable, strict, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class RunConfig(Section):
    name: Slug = "cartpole"
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 1


class VariantConfig(Section):
    """One way to set the environment up, and the half-open range of its episode seeds."""

    params: Mapping[str, float] = Field(default_factory=dict)
    seeds: tuple[EpisodeSeed, EpisodeSeed] = (0, 1_000_000)

    @model_validator(mode="after")
    def _check_seeds(self) -> Self:
        start, end = self.seeds
        if start >= end:
            raise broken_rule(("seeds",), f"expected [start, end] with start < end, got [{start}, {end}]")
        return self


class EnvConfig(Section):
    name: Annotated[str, Field(min_length=1, max_length=64)] = "CartPole-v1"
    variants: Annotated[Mapping[Slug, VariantConfig], Field(min_length=1, max_length=1024)] = Field(
        default_factory=lambda: {"standard": VariantConfig()}
    )
    vectorized: bool = False


class ModelConfig(Section):
    hidden: Annotated[tuple[LayerSize, ...], Field(min_length=1, max_length=4)] = (64, 64)
    activation: Literal["tanh", "relu", "silu"] = "tanh"
    shared_trunk: bool = False
    init_hidden_gain: Annotated[float, Field(gt=0.0, le=100.0)] = math.sqrt(2.0)
    init_policy_gain: Annotated[float, Field(ge=0.0, le=100.0)] = 0.01
    init_value_gain: Annotated[float, Field(ge=0.0, le=100.0)] = 1.0
    init_log_std: Annotated[float, Field(ge=-10.0, le=5.0)] = 0.0


class PpoConfig(Section):
    num_envs: Annotated[int, Field(ge=1, le=65_536)] = 16
    rollout_steps: Annotated[int, Field(ge=1, le=65_536)] = 32
    epochs: Annotated[int, Field(ge=1, le=100)] = 10
    minibatch_size: Annotated[int, Field(ge=1, le=16_777_216)] = 128
    gamma: Fraction = 0.98
    gae_lambda: Fraction = 0.8
    clip_range: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    clip_schedule: Literal["constant", "linear"] = "constant"
    value_clip_range: ValueBound = 0.0
    entropy_coef: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    value_coef: Annotated[float, Field(ge=0.0, le=10.0)] = 0.5
    max_grad_norm: Annotated[float, Field(gt=0.0, le=1e6)] = 0.5
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1e-3
    lr_schedule: Literal["constant", "linear"] = "constant"
    schedule_env_steps: Annotated[int, Field(ge=1, le=10**15)] = 1_000_000
    target_kl: Annotated[float, Field(ge=0.0, le=100.0)] = 0.0
    kl_penalty: Annotated[float, Field(ge=0.0, le=1000.0)] = 0.0
    normalize_observations: bool = False
    observation_clip: Bound = 10.0
    normalize_rewards: bool = False
    reward_clip: Bound = 10.0
    normalize_advantages: bool = True
    adam_beta1: FractionBelowOne = 0.9
    adam_beta2: FractionBelowOne = 0.999
    adam_epsilon: Annotated[float, Field(ge=MIN_NORMAL_FLOAT32, le=1.0)] = 1e-5

    @model_validator(mode="after")
    def _check_minibatch(self) -> Self:
        batch = self.num_envs * self.rollout_steps
        if batch > MAX_BATCH:
            raise broken_rule(
                ("num_envs", "rollout_steps"),
                f"expected num_envs * rollout_steps of at most {MAX_BATCH},"
                f" got {self.num_envs} * {self.rollout_steps} = {batch}",
            )
        if batch % self.minibatch_size != 0:
            raise broken_rule(
                ("minibatch_size", "num_envs", "rollout_steps"),
                f"expected a divisor of num_envs * rollout_steps = {self.num_envs} * {self.rollout_steps}"
                f" = {batch}, got {self.minibatch_size};"
                f" {_nearest_divisor(batch, self.minibatch_size)} would do",
            )
        if self.minibatch_size == 1 and self.normalize_advantages:
            raise broken_rule(
                ("normalize_advantages", "minibatch_size"),
                "expected false where minibatch_size is 1 (one value has no spread), got true",
            )
        return self


class ComputeConfig(Section):
    device: Literal["auto", "cpu", "cuda"] = "auto"
    backend: Literal["auto", "libtorch", "fused"] = "auto"
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    pin_threads: bool = False
    nice: Annotated[int, Field(ge=0, le=19)] = 10


class RoundConfig(Section):
    train_s: Period = 2.0
    env_steps: Annotated[int, Field(ge=1, le=10**12)] | None = None
    grace_s: Period = 3.0
    backup_gap_s: Period = 0.5
    miss_limit: Annotated[int, Field(ge=1, le=1000)] = 2
    partition: Literal["available", "strict"] = "available"
    merge: Literal["majority", "score"] = "majority"
    staleness_limit: Annotated[int, Field(ge=0, le=64)] = 4
    anti_entropy_s: Period = 2.0
    snapshot_every: Annotated[int, Field(ge=1, le=10_000)] = 10
    eval_every: Annotated[int, Field(ge=1, le=10_000)] = 1
    codec: Literal[
        "auto",
        "float32",
        "float32+zstd",
        "float16",
        "float16+zstd",
        "int4",
        "int4+zstd",
        "int8",
        "int8+zstd",
        "topk-int8",
        "topk-int8+zstd",
    ] = "auto"
    top_k_fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1


class AggregationConfig(Section):
    rule: Literal[
        "mean", "clipped-mean", "centered-clipping", "geometric-median", "multi-krum", "median", "trimmed-mean"
    ] = "clipped-mean"
    clip: Annotated[float, Field(ge=0.01, le=100.0)] = 1.5
    assumed_bad: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.25
    bucket_size: Annotated[int, Field(ge=1, le=16)] = 1
    weights: Literal["capped", "env-steps", "equal"] = "capped"
    outer: Literal["sgd", "nesterov", "fedadam"] = "sgd"
    outer_lr: Annotated[float, Field(gt=0.0, le=10.0)] | None = None
    outer_momentum: FractionBelowOne = 0.9
    outer_beta2: FractionBelowOne = 0.99
    outer_epsilon: Annotated[float, Field(ge=1e-8, le=1.0)] = 1e-3


class NetworkConfig(Section):
    listen_host: Annotated[
        str,
        AfterValidator(_check_host),
        Field(description="an IP address of this machine such as 0.0.0.0 (all) or 127.0.0.1"),
    ] = "0.0.0.0"
    port: Annotated[int, Field(ge=0, le=65_535)] = 4001
    peer_name: PeerName | None = None
    dns: Annotated[tuple[HostName, ...], Field(max_length=64)] = ()
    addresses: Annotated[tuple[Multiaddr, ...], Field(max_length=1024)] = ()
    mdns: bool = False
    announce: Annotated[tuple[AnnouncedAddress, ...], Field(max_length=8)] = ()
    interface: InterfaceName | None = None
    redial_min_s: Period = 0.5
    redial_max_s: Period = 30.0
    rediscover_s: Period = 15.0
    max_connections: Annotated[int, Field(ge=1, le=4096)] = 64
    max_messages_per_s: Annotated[int, Field(ge=10, le=100_000)] = 500
    swarm_key_file: Annotated[str, Field(pattern=r"^[^\x00]+\z", description="a file")] | None = None
    authorities: Annotated[tuple[PeerIdText, ...], Field(max_length=16)] = ()
    authority_signatures: Annotated[int, Field(ge=1, le=16)] = 1
    allow_list: Annotated[str, Field(pattern=r"^[^\x00]+\z", description="a file")] | None = None

    @model_validator(mode="after")
    def _check_redial(self) -> Self:
        if self.redial_min_s > self.redial_max_s:
            raise broken_rule(
                ("redial_min_s", "redial_max_s"),
                f"expected at most redial_max_s = {self.redial_max_s}, got {self.redial_min_s}",
            )
        return self

    @model_validator(mode="after")
    def _check_authorities(self) -> Self:
        if self.allow_list is not None and not self.authorities:
            raise broken_rule(
                ("authorities", "allow_list"), "expected the peer ids whose signatures make allow_list valid, got none"
            )
        if self.authorities and self.authority_signatures > len(set(self.authorities)):
            raise broken_rule(
                ("authority_signatures", "authorities"),
                f"expected at most the {len(set(self.authorities))} of authorities, got {self.authority_signatures}",
            )
        return self


class StorageConfig(Section):
    data_dir: Annotated[str, Field(pattern=r"^[^\x00]+\z", description="a folder")] = "runs"
    slot: Annotated[int, Field(ge=0, le=4095)] | None = None
    max_journal_bytes: Annotated[int, Field(ge=1_048_576, le=2**50)] = 268_435_456
    max_payload_bytes: Annotated[int, Field(ge=0, le=2**50)] = 67_108_864
    keep_snapshots: Annotated[int, Field(ge=2, le=100)] = 3
    slot_file: Annotated[str, Field(pattern=r"^[^\x00]+\z", description="a file")] | None = None


class StopConfig(Section):
    mean_return: float | None = 475.0
    episodes: Annotated[int, Field(ge=1, le=10_000)] = 20
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 1_000_000_000
    max_rounds: Annotated[int, Field(ge=1, le=10**12)] | None = None
    linger_s: Annotated[float, Field(ge=0.0, le=86_400.0)] = 10.0


class LogConfig(Section):
    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
    time: bool = False
    waiting_every_s: Period = 5.0
    tensorboard: Annotated[str, Field(pattern=r"^[^\x00]+\z", description="a folder")] | None = None


class Config(Section):
    """The whole configuration of one peer; `Config()` is the demo."""

    run: RunConfig = Field(default_factory=RunConfig)
    env: EnvConfig = Field(default_factory=EnvConfig)
    model: ModelConfig = Field(default_factory=ModelConfig)
    ppo: PpoConfig = Field(default_factory=PpoConfig)
    compute: ComputeConfig = Field(default_factory=ComputeConfig)
    round: RoundConfig = Field(default_factory=RoundConfig)
    aggregation: AggregationConfig = Field(default_factory=AggregationConfig)
    network: NetworkConfig = Field(default_factory=NetworkConfig)
    storage: StorageConfig = Field(default_factory=StorageConfig)
    stop: StopConfig = Field(default_factory=StopConfig)
    log: LogConfig = Field(default_factory=LogConfig)

    @model_validator(mode="after")
    def _check_codec(self) -> Self:
        if self.aggregation.rule in DENSE_RULES and self.round.codec.startswith("topk"):
            raise broken_rule(
                ("round", "aggregation"),
                f"expected codec auto or a dense one with aggregation.rule {self.aggregation.rule}, got"
                f" {self.round.codec}: of sparse deltas the middle value of nearly every coordinate is 0",
            )
        return self


def is_run_name(text: str) -> bool:
    """Return whether `text` may be a run.name."""
    try:
        RunConfig(name=text)
    except ValidationError:
        return False
    return True


def broken_rule(keys: tuple[str, ...], text: str) -> PydanticCustomError:
    """Return the error for a rule that spans several keys of a section, filed under the first of them."""
    return PydanticCustomError("broken_rule", "{text}", {"keys": keys, "text": text})


def _nearest_divisor(number: int, wanted: int) -> int:
    small = [divisor for divisor in range(1, math.isqrt(number) + 1) if number % divisor == 0]
    return min([*small, *(number // divisor for divisor in small)], key=lambda divisor: abs(divisor - wanted))
