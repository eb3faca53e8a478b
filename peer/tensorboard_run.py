"""Where a peer writes its figures for TensorBoard, if it shall: a folder of its own, beside those of other peers."""

from collections.abc import Callable, Mapping
from pathlib import Path

from peer.config.schema import Config
from peer.peer_ids import short
from peer.run_folder import run_folder_name
from peer.services.tensorboard import TensorBoardKeeper
from peer.telemetry.event_files import EventFileWriter, require_tensorboardx
from peer.telemetry.round_scalars import RoundScalars
from peer.telemetry.scalar_tags import LossWeights, settings_text
from peer.telemetry.sink import EventSink
from peer.types import PeerId

_KEY = "log.tensorboard"
_SECTIONS = ("run", "env", "model", "ppo", "compute", "round", "aggregation", "stop")
"""Those of the configuration that decide how a peer learns."""


def check_tensorboard(config: Config) -> None:
    """Raises: ValueError when figures shall be written and cannot be by what is installed."""
    if config.log.tensorboard is not None:
        require_tensorboardx(_KEY)


def make_tensorboard(
    config: Config,
    peer: PeerId,
    *,
    name: str,
    boot: int,
    env_steps: int,
    sink: EventSink,
    traffic: Callable[[], Mapping[str, int]],
) -> TensorBoardKeeper | None:
    """Return what writes this peer's figures; None where that is not wanted. env_steps: at which its life begins.

    The end of its id is in the folder's name: peers of several machines may have the same name, and their folders are
    put together to be looked at.
    """
    if config.log.tensorboard is None:
        return None
    parent = Path(config.storage.data_dir) / config.log.tensorboard / run_folder_name(config)
    values = config.model_dump(mode="json")
    writer = EventFileWriter(
        parent / f"{name}~{short(peer)}",
        begins_at=env_steps + 1 if env_steps else 0,
        texts={"settings": settings_text({section: values[section] for section in _SECTIONS})},
        suffix=f".boot-{boot}",
    )
    return TensorBoardKeeper(writer, RoundScalars(loss_weights(config)), sink=sink, traffic=traffic)


def loss_weights(config: Config) -> LossWeights:
    ppo = config.ppo
    return LossWeights(entropy_coef=ppo.entropy_coef, value_coef=ppo.value_coef, kl_penalty=ppo.kl_penalty)
