"""The model as a safetensors file: readable by PyTorch, JAX and NumPy alike, and it runs no code when opened.

Tensors: `params` float32[P], flat in the order of cpp_core/include/murmur/agents/policy_layout.hpp; `moments_count`,
`moments_mean`, `moments_m2` float64[M]: the observation dims, then the return;
`outer` float32: the outer optimizer's memory, only where there is any. The metadata says how to build the
policy. Equal models with equal metadata are equal files, to the last byte.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from peer.bounded_file import MAX_FILE_BYTES
from peer.errors import StorageError
from peer.storage.atomic_file import write_atomic
from peer.storage_failures import storage_errors
from peer.telemetry.plain_text import printable
from peer.types import ModelState, Moments
from peer.wire.hashing import hashed_parts, model_hash

MODEL_FILE = "model.safetensors"
"""Its name in the folder of a run."""

WHO_SAVES = "a peer saves its model every round.snapshot_every rounds and at the end, `murmur train` every 30 s"
"""What to tell where there is none."""

_FORMAT = "murmuration model 1"
_LENGTH_BYTES = 8
_MAX_DIGITS = 19
_STATE_SUFFIX = ".state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """The content of a model file.

    settings: what `murmur eval` needs to rebuild the policy, and where the model comes from; text only.
    """

    state: ModelState
    settings: dict[str, str]


def save_model(path: Path, model: ModelFile) -> None:
    """Write atomically. Raises: StorageError; an older file stays."""
    moments = model.state.moments
    tensors: dict[str, npt.NDArray[Any]] = {  # Any: float32 and float64 together
        "params": np.ascontiguousarray(model.state.params, np.float32),
        "moments_count": np.ascontiguousarray(moments.count),
        "moments_mean": np.ascontiguousarray(moments.mean),
        "moments_m2": np.ascontiguousarray(moments.m2),
    }
    if model.state.outer.size:
        tensors["outer"] = np.ascontiguousarray(model.state.outer, np.float32)
    write_atomic(path, _in_order(save(tensors, metadata={"format": _FORMAT, **model.settings})))


def load_model(path: Path) -> ModelFile:
    """Raises: StorageError when the file is missing, damaged, or not a model of this project."""
    with storage_errors("read", path):
        if path.is_dir():
            raise StorageError(f"{path} is a folder: give the model.safetensors in it")
        if path.exists() and not path.is_file():
            raise StorageError(
                f"{path} cannot be read as a model: it is a device, pipe or socket; name an ordinary file"
            )
        if path.exists() and (size := path.stat().st_size) > MAX_FILE_BYTES:  # the library would die of it
            raise StorageError(
                f"{path} cannot be read as a model: it has {size} bytes, and no model more than {MAX_FILE_BYTES}"
            )
    try:
        with safe_open(str(path), framework="numpy") as file:
            settings = dict(file.metadata() or {})
            if settings.pop("format", None) != _FORMAT:
                raise StorageError(f"{path} is no model of this version: expected format {_FORMAT!r}")
            count, mean, m2 = (file.get_tensor(f"moments_{name}") for name in ("count", "mean", "m2"))
            outer = file.get_tensor("outer") if "outer" in file.keys() else np.zeros(0, np.float32)  # noqa: SIM118  # no dict
            moments = Moments(count=count, mean=mean, m2=m2)
            state = ModelState(params=file.get_tensor("params"), moments=moments, outer=outer)
    except FileNotFoundError as error:
        raise StorageError(f"there is no model at {path}: {WHO_SAVES}") from error
    # The last two: of a type that numpy lacks, as BF16 or F8_E4M3.
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} cannot be read as a model: {_why(path, error)}") from error
    _check_arrays(path, state)
    return ModelFile(state=state, settings=settings)


def told_count(settings: Mapping[str, str], key: str) -> int | None:
    """Return a count that a file tells of its model, such as `round`; None where it tells none."""
    told = settings.get(key, "")
    return int(told) if told.isdecimal() and len(told) <= _MAX_DIGITS else None


def check_named(path: Path, model: ModelFile) -> None:
    """Raises: StorageError when what was read from `path` is another model than the file says, if it does say."""
    named = model.settings.get("model_hash")
    if named is not None and named not in _names(model.state):
        raise StorageError(
            f"{path} holds model {model_hash(model.state).hex()[:12]}, but says that it is {printable(named[:12])}:"
            " it was changed or damaged; take the file of another peer of the run"
        )


def _check_arrays(path: Path, state: ModelState) -> None:
    """Raises: StorageError unless each tensor is of the type, and has the one dimension, that this program writes."""
    moments = state.moments
    tensors: dict[str, tuple[npt.NDArray[Any], str]] = {  # Any: whatever the file holds
        "params": (state.params, "float32"),
        "moments_count": (moments.count, "float64"),
        "moments_mean": (moments.mean, "float64"),
        "moments_m2": (moments.m2, "float64"),
        "outer": (state.outer, "float32"),
    }
    for name, (array, dtype) in tensors.items():
        if array.dtype.name != dtype or array.ndim != 1:
            shape = list(array.shape)
            raise StorageError(
                f"{path} cannot be read as a model: expected {name} to be one row of {dtype}, got {array.dtype} {shape}"
            )


def _why(path: Path, error: Exception) -> str:
    """Return what a user can do something with; of a file that is something else the library tells about its header."""
    if not isinstance(error, SafetensorError):
        return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error)
    beside = path.with_name(path.name.removesuffix(_STATE_SUFFIX))
    if beside != path:
        return f"it is the state that a run goes on from; its model is {beside}"
    return f"it is no safetensors file, as peers and `murmur train` save it, or was cut short ({error})"


def _names(state: ModelState) -> tuple[str, str]:
    """Return the model's name, and the one that versions before protocol 5 gave it."""
    return model_hash(state).hex(), hashlib.sha256(b"".join(hashed_parts(state))).hexdigest()


def _in_order(content: bytes) -> bytes:
    """Sort the keys of the header: the library writes the metadata in another order in every process."""
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    entries = json.loads(content[_LENGTH_BYTES:end])
    header = json.dumps(entries, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % _LENGTH_BYTES)  # the tensors begin at a multiple of 8
    return len(header).to_bytes(_LENGTH_BYTES, "little") + header + content[end:]
