"""Show what codecs save and what they cost: bytes of a delta of a million parameters, and GB/s of its float32 values.

    python benchmarks/codecs.py                    # bytes, then speed
    python benchmarks/codecs.py --only bytes
    python benchmarks/codecs.py --only speed --params 1000000 16000000

Bytes: a real delta, one round of PPO (2048 env steps) of CartPole-v1 on an actor-critic of two hidden layers of 700
units, and one of independent Gaussian values, the least compressible that training could make. Speed: one thread, the
best of several repetitions, as float32 bytes in (encode) or out (decode) per second, beside a plain copy (`memcpy`,
which reads and writes as many bytes). What learning loses: benchmarks/codec_learning.py.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.goals import GOALS
from benchmarks.machine import describe_machine
from peer.codec.registry import make_codecs
from peer.native import NativeCodecKernels, make_ppo_agent
from peer.types import Digest, ModelDelta, ModelSchema, Moments, Params

_HIDDEN = (700, 700)
_ROUND_STEPS = 2048
_MOMENTS = 5


def trained_delta() -> Params:
    """Return what one round of PPO moves in a network of about a million parameters."""
    settings = replace(GOALS["CartPole-v1"].settings, hidden=_HIDDEN, seed=1, local_seed=2, device="cpu")
    agent = make_ppo_agent("CartPole-v1", replace(settings, backend="libtorch"))
    before = agent.get_params()
    agent.train(_ROUND_STEPS, 1e9)
    return agent.get_params() - before


def gaussian_delta(num_params: int) -> Params:
    return np.random.default_rng(1).normal(0.0, 1e-3, num_params).astype(np.float32)


def whole(params: Params) -> ModelDelta:
    return ModelDelta(params=params, moments=Moments.empty(_MOMENTS))


def report_bytes(fraction: float) -> None:
    deltas = {"PPO": whole(trained_delta()), "Gaussian": whole(gaussian_delta(1_000_000))}
    codecs = make_codecs(NativeCodecKernels(), top_k_fraction=fraction)
    sizes = ", ".join(f"{name} {delta.params.size:,} parameters" for name, delta in deltas.items())
    print(f"bytes per peer and round: {sizes}; top-k {fraction:g}")
    for name, codec in codecs.items():
        columns = []
        for label, delta in deltas.items():
            size = len(codec.encode(delta))
            raw = len(codecs["float32"].encode(delta))
            columns.append(f"{label} {size:9,} ({raw / size:5.2f}x less)")
        print(f"  {name:15s} {'   '.join(columns)}", flush=True)


def best_s(work: Callable[[], object], *, seconds: float) -> float:
    """Return the shortest of the times that fit into `seconds`."""
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def report_speed(num_params: int, fraction: float, seconds: float) -> None:
    params = gaussian_delta(num_params)
    delta, out = whole(params), np.empty_like(params)
    schema = ModelSchema(num_params=num_params, num_moments=_MOMENTS, digest=Digest(bytes(32)))
    gigabytes = params.nbytes / 1e9
    copied = gigabytes / best_s(lambda: np.copyto(out, params), seconds=seconds)
    print(f"{num_params:,} parameters ({params.nbytes / 1e6:.0f} MB of float32), one thread: memcpy {copied:.1f} GB/s")
    kernels = NativeCodecKernels()
    keep = max(1, int(num_params * fraction))
    loops: dict[str, tuple[Callable[[], bytes], Callable[[bytes], object]]] = {
        "float16": (lambda: kernels.encode_float16(params), lambda data: kernels.decode_float16(data, out)),
        "int8": (lambda: kernels.encode_int8(params), lambda data: kernels.decode_int8(data, out)),
        "int4": (lambda: kernels.encode_int4(params), lambda data: kernels.decode_int4(data, out)),
        "topk-int8": (lambda: kernels.encode_top_k(params, keep), lambda data: kernels.decode_top_k(data, out)),
    }
    for name, (encode, decode) in loops.items():
        data = encode()
        row(f"{name} kernel", gigabytes, encode, partial(decode, data), seconds)
    for name, codec in make_codecs(kernels, top_k_fraction=fraction).items():
        data = codec.encode(delta)
        row(name, gigabytes, partial(codec.encode, delta), partial(codec.decode, data, schema), seconds)


def row(
    name: str, gigabytes: float, encode: Callable[[], object], decode: Callable[[], object], seconds: float
) -> None:
    encoded, decoded = best_s(encode, seconds=seconds), best_s(decode, seconds=seconds)
    print(
        f"  {name:16s} encode {gigabytes / encoded:6.2f} GB/s ({1e3 * encoded:7.2f} ms)"
        f"   decode {gigabytes / decoded:6.2f} GB/s ({1e3 * decoded:7.2f} ms)",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["bytes", "speed"])
    parser.add_argument("--params", type=int, nargs="+", default=[1_000_000, 16_000_000])
    parser.add_argument("--fraction", type=float, default=0.1, help="part of the coordinates that top-k keeps")
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure of speed")
    arguments = parser.parse_args()
    print(describe_machine())
    if arguments.only != "speed":
        report_bytes(arguments.fraction)
    if arguments.only != "bytes":
        for num_params in arguments.params:
            report_speed(num_params, arguments.fraction, arguments.seconds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
