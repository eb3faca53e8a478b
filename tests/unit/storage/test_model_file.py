"""The finished model as a file: equal models are equal files, and what is read is what was saved."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from peer.errors import StorageError
from peer.storage.model_file import ModelFile, load_model, save_model
from peer.types import ModelState, Moments

_SAVE = """
import sys
from pathlib import Path
from peer.storage.model_file import save_model
from tests.unit.storage.test_model_file import model
save_model(Path(sys.argv[1]), model(outer=3))
"""


def model(*, outer: int) -> ModelFile:
    rng = np.random.default_rng(1)
    moments = Moments(count=rng.random(5), mean=rng.random(5), m2=rng.random(5))
    state = ModelState(params=rng.random(7).astype(np.float32), moments=moments, outer=np.ones(outer, np.float32))
    names = ("env", "hidden", "activation", "run", "round", "model_hash")
    return ModelFile(state=state, settings={name: f"näive {name}" for name in names})


def test_every_process_saves_the_same_bytes(tmp_path: Path) -> None:
    files = [tmp_path / f"{seed}.safetensors" for seed in range(3)]
    for seed, file in enumerate(files):
        variables = {**os.environ, "PYTHONHASHSEED": str(seed)}
        subprocess.run([sys.executable, "-c", _SAVE, str(file)], env=variables, check=True)
    assert len({file.read_bytes() for file in files}) == 1


@pytest.mark.parametrize("outer", [0, 3])
def test_saved_model_is_read_as_it_was(tmp_path: Path, outer: int) -> None:
    saved = model(outer=outer)
    save_model(tmp_path / "model.safetensors", saved)
    read = load_model(tmp_path / "model.safetensors")
    assert read.settings == saved.settings
    for name in ("params", "outer"):
        assert np.array_equal(getattr(read.state, name), getattr(saved.state, name))
    for name in ("count", "mean", "m2"):
        assert np.array_equal(getattr(read.state.moments, name), getattr(saved.state.moments, name))


def test_model_of_four_terabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """The library that reads it would panic, as no memory holds it: an error that no program catches."""
    path, count = tmp_path / "model.safetensors", 1024**4
    save_model(path, model(outer=0))
    length = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + length])
    header["params"] = {"dtype": "F32", "shape": [count], "data_offsets": [120, 120 + 4 * count]}
    for number, name in enumerate(("moments_count", "moments_m2", "moments_mean")):
        header[name]["data_offsets"] = [40 * number, 40 * number + 40]
    data = json.dumps(header).encode()
    path.write_bytes(len(data).to_bytes(8, "little") + data)
    os.truncate(path, 8 + len(data) + 120 + 4 * count)
    with pytest.raises(StorageError, match=r"cannot be read as a model: it has \d+ bytes, and no model more than"):
        load_model(path)


def test_what_is_no_model_is_refused_with_what_it_is(tmp_path: Path) -> None:
    state, text, pipe = tmp_path / "m.safetensors.state", tmp_path / "notes.txt", tmp_path / "pipe"
    state.write_bytes(b"MRMR" * 20)
    text.write_text("nothing")
    os.mkfifo(pipe)
    for file, why in (
        (state, f"it is the state that a run goes on from; its model is {tmp_path / 'm.safetensors'}"),
        (text, "it is no safetensors file, as peers and `murmur train` save it, or was cut short"),
        (pipe, "it is a device, pipe or socket"),  # reading one may take for ever
    ):
        with pytest.raises(StorageError, match=re.escape(f"{file} cannot be read as a model: {why}")):
            load_model(file)


@pytest.mark.parametrize(
    ("tensor", "dtype", "shape", "why"),
    [
        ("params", "F8_E4M3", [16], "module 'numpy' has no"),
        ("params", "F64", [2], "expected params to be one row of float32, got float64 [2]"),
        ("params", "F32", [2, 2], "expected params to be one row of float32, got float32 [2, 2]"),
        ("moments_mean", "F64", [2, 1], "expected moments_mean to be one row of float64, got float64 [2, 1]"),
        ("moments_m2", "F64", [], "expected moments_m2 to be one row of float64, got float64 []"),
    ],
)
def test_tensors_of_another_type_or_shape_are_refused(
    tmp_path: Path, tensor: str, dtype: str, shape: list[int], why: str
) -> None:
    path = tmp_path / "m.safetensors"
    header: dict[str, object] = {"__metadata__": {"format": "murmuration model 1"}}
    data = b""
    for name in ("params", "moments_count", "moments_mean", "moments_m2"):
        found = (dtype, shape) if name == tensor else ("F32" if name == "params" else "F64", [2])
        size = math.prod(found[1]) * {"F8_E4M3": 1, "F32": 4, "F64": 8}[found[0]]
        header[name] = {"dtype": found[0], "shape": found[1], "data_offsets": [len(data), len(data) + size]}
        data += bytes(size)
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)
    with pytest.raises(StorageError, match=re.escape(f"{path} cannot be read as a model: {why}")):
        load_model(path)
