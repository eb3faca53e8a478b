"""The common model of a run, as the configuration defines it: its shape, how it starts, how deltas travel, and how a
round moves it."""

from dataclasses import replace

from peer.agents.agent import Agent
from peer.aggregation.kernels import Kernels
from peer.aggregation.outer import OUTER_OPTIMIZERS, OuterOptimizer, OuterOptions, initial_memory
from peer.aggregation.registry import withstands
from peer.aggregation.rule import Aggregator, RuleOptions
from peer.aggregation.step import aggregator
from peer.codec.choice import choose_codec
from peer.codec.codec import Codec
from peer.codec.registry import make_codecs
from peer.config.schema import DENSE_RULES, AggregationConfig, Config
from peer.native import NativeCodecKernels
from peer.types import ModelSchema, ModelState


def common_schema(config: Config, agent: ModelSchema) -> ModelSchema:
    """Return the shape of the model that peers hold in common: the agent's, and the outer optimizer's memory."""
    return replace(agent, num_outer=outer_optimizer(config.aggregation).slots * agent.num_params)


def first_state(config: Config, agent: Agent) -> ModelState:
    """Return the model that a run starts from. Call it before the agent has trained."""
    return with_first_memory(config, agent.model())


def with_first_memory(config: Config, model: ModelState) -> ModelState:
    """Return an agent's initial model with the memory that the outer optimizer starts from."""
    return replace(model, outer=initial_memory(outer_optimizer(config.aggregation), model.params.size))


def codecs_of(config: Config) -> dict[str, Codec]:
    """Return the codecs that deltas may use; sparse ones only where the aggregation rule can take them."""
    return make_codecs(NativeCodecKernels(), top_k_fraction=config.round.top_k_fraction, sparse=takes_sparse(config))


def own_codec(config: Config, schema: ModelSchema) -> str:
    """Return the name of the codec that own deltas use."""
    return choose_codec(config.round.codec, num_params=schema.num_params, sparse=takes_sparse(config))


def takes_sparse(config: Config) -> bool:
    """Return whether headers with a sparse codec are taken."""
    return config.aggregation.rule not in DENSE_RULES


def aggregation(config: Config, kernels: Kernels | None = None) -> Aggregator:
    """Return the step from one round's model to the next. kernels: NumPy if None; the result is the same."""
    settings = config.aggregation
    return aggregator(
        settings.rule,
        rule_options(settings),
        weights=settings.weights,
        bucket_size=settings.bucket_size,
        outer=outer_optimizer(settings),
        kernels=kernels,
    )


def bad_peers_withstood(settings: AggregationConfig, peers: int) -> int:
    """Return how many bad peers of `peers` the configured rule claims to withstand; 0: it claims nothing."""
    return withstands(settings.rule, rule_options(settings), peers=peers, bucket_size=settings.bucket_size)


def rule_options(settings: AggregationConfig) -> RuleOptions:
    return RuleOptions(clip=settings.clip, assumed_bad=settings.assumed_bad)


def outer_optimizer(settings: AggregationConfig) -> OuterOptimizer:
    return OUTER_OPTIMIZERS[settings.outer](
        OuterOptions(
            lr=settings.outer_lr,
            momentum=settings.outer_momentum,
            beta2=settings.outer_beta2,
            epsilon=settings.outer_epsilon,
        )
    )
