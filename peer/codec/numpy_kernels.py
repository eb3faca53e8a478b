"""The codecs' inner loops in NumPy: slow, short, and written from the format's description alone.

Source of integers in blocks: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization" (with linear
steps); of top-k: Aji & Heafield 2017, "Sparse Communication for Distributed Gradient Descent".
"""

import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from peer.codec.codec import MAX_MAGNITUDE
from peer.codec.kernels import BLOCK, Verdict
from peer.types import Params

_SMALLEST_BLOCK = 2.0**-64
_SMALLEST_SCALE = 2.0**-80
_EXPONENTS = range(-80, 114)
_LONG_GAP = 255


class NumpyKernels:
    """See `CodecKernels`."""

    def check_values(self, values: Params) -> int:
        if not np.isfinite(values).all():
            return Verdict.NOT_FINITE
        return Verdict.MAGNITUDE if (np.abs(values) > MAX_MAGNITUDE).any() else Verdict.VALID

    def encode_float16(self, values: Params) -> bytes:
        largest = float(np.abs(values).max(initial=0.0))
        exponent = 0
        if np.isfinite(largest):
            # frexp: largest = mantissa * 2^power with the mantissa in [0.5, 1)
            power = int(np.frexp(np.float32(largest))[1]) if largest >= 2.0**-126 else -126
            exponent = min(max(power - 15, _EXPONENTS[0]), _EXPONENTS[-1])
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            halves = (values.astype(np.float64) * 2.0**-exponent).astype(np.float16)
        bits = halves.view(np.uint16)
        canonical = np.where(np.isnan(halves), (bits & 0x8000) | 0x7E00, bits)
        return struct.pack("<i", exponent) + canonical.astype("<u2").tobytes()

    def decode_float16(self, data: bytes | memoryview, values: Params) -> int:
        if len(data) != 4 + 2 * values.size:
            return Verdict.PAYLOAD_SIZE
        (exponent,) = struct.unpack("<i", data[:4])
        if exponent not in _EXPONENTS:
            return Verdict.MALFORMED
        with np.errstate(over="ignore", invalid="ignore"):  # judged below
            values[:] = np.frombuffer(data, "<f2", offset=4).astype(np.float64) * 2.0**exponent
        return self.check_values(values)

    def encode_int8(self, values: Params) -> bytes:
        return _encode_blocks(values, levels=127, pack=np.ndarray.tobytes)

    def decode_int8(self, data: bytes | memoryview, values: Params) -> int:
        scales = 4 * _num_blocks(values.size)
        if len(data) != scales + values.size:
            return Verdict.PAYLOAD_SIZE
        return self._decode_blocks(data[:scales], np.frombuffer(data, np.int8, offset=scales), values)

    def encode_int4(self, values: Params) -> bytes:
        return _encode_blocks(values, levels=7, pack=_pack_halves)

    def decode_int4(self, data: bytes | memoryview, values: Params) -> int:
        scales = 4 * _num_blocks(values.size)
        if len(data) != scales + -(-values.size // 2):
            return Verdict.PAYLOAD_SIZE
        packed = np.frombuffer(data, np.uint8, offset=scales)
        if values.size % 2 and packed[-1] >> 4:
            return Verdict.MALFORMED
        quantised = [np.zeros(0, np.int8)]
        for at in range(0, values.size, BLOCK):
            quantised.append(_unpack_halves(packed[at // 2 : (at + BLOCK) // 2], min(BLOCK, values.size - at)))
        return self._decode_blocks(data[:scales], np.concatenate(quantised), values)

    def _decode_blocks(self, scales: bytes | memoryview, quantised: npt.NDArray[np.int8], values: Params) -> int:
        for number, scale in enumerate(np.frombuffer(scales, "<f4")):
            block = slice(number * BLOCK, (number + 1) * BLOCK)
            verdict = _check_scale(scale)
            if verdict == Verdict.VALID:
                values[block] = quantised[block].astype(np.float32) * scale
                verdict = Verdict(self.check_values(values[block]))
            if verdict != Verdict.VALID:
                return verdict
        return Verdict.VALID

    def encode_top_k(self, values: Params, keep: int) -> bytes:
        magnitudes = values.view(np.uint32) & 0x7FFFFFFF  # as integers, so that NaN has a place in the order
        # lexsort: by magnitude, largest first, and equal ones by position
        order = np.lexsort((np.arange(values.size), -magnitudes.astype(np.int64)))[:keep]
        kept = np.sort(order[magnitudes[order] > 0])
        gaps = bytearray()
        for gap in np.diff(kept, prepend=-1) - 1:
            gaps += bytes([_LONG_GAP]) * (int(gap) // _LONG_GAP) + bytes([int(gap) % _LONG_GAP])
        return struct.pack("<II", kept.size, len(gaps)) + bytes(gaps) + self.encode_int8(values[kept])

    def decode_top_k(self, data: bytes | memoryview, values: Params) -> int:
        if len(data) < 8:
            return Verdict.PAYLOAD_SIZE
        count, num_gaps = struct.unpack("<II", data[:8])
        scales = 4 * _num_blocks(count)
        if count > values.size or len(data) != 8 + num_gaps + scales + count:
            return Verdict.PAYLOAD_SIZE
        values[:] = 0.0
        kept = np.zeros(count, np.float32)
        verdict = self.decode_int8(data[8 + num_gaps :], kept)
        if verdict != Verdict.VALID:
            return verdict
        gaps = np.frombuffer(data, np.uint8, count=num_gaps, offset=8)
        ends = gaps != _LONG_GAP
        positions = (np.cumsum(gaps, dtype=np.int64) + np.cumsum(ends) - 1)[ends]
        has_rest = num_gaps > 0 and not ends[-1]
        if positions.size != count or has_rest or (count and positions[-1] >= values.size):
            return Verdict.MALFORMED
        values[positions] = kept
        return Verdict.VALID


def _num_blocks(size: int) -> int:
    return -(-size // BLOCK)


def _encode_blocks(values: Params, *, levels: int, pack: Callable[[npt.NDArray[np.int8]], bytes]) -> bytes:
    """Return all scales, then all blocks. levels: what the largest magnitude of a block becomes."""
    scales, packed = [], [b""]
    for at in range(0, values.size, BLOCK):
        block = values[at : at + BLOCK]
        largest = np.abs(block).max()
        scale, quantised = np.float32(0.0), np.zeros(block.size, np.int8)
        if not np.isfinite(largest):
            scale = np.float32(np.nan if np.isnan(largest) else np.inf)
        elif largest >= _SMALLEST_BLOCK:
            scale = largest / np.float32(levels)
            quantised = np.rint(block * (np.float32(levels) / largest)).astype(np.int8)
        scales.append(scale)
        packed.append(pack(quantised))
    return np.asarray(scales, "<f4").tobytes() + b"".join(packed)


def _pack_halves(quantised: npt.NDArray[np.int8]) -> bytes:
    """Return a byte for two values: the first half of the block in the low bits, the second in the high ones."""
    half = -(-quantised.size // 2)
    low = quantised[:half] & 0xF
    high = np.zeros(half, np.int8)
    high[: quantised.size - half] = quantised[half:]
    return (low.astype(np.uint8) | (high.astype(np.uint8) << 4)).tobytes()


def _unpack_halves(packed: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.int8]:
    both = np.concatenate([packed & 0xF, packed >> 4])[:size].astype(np.int8)
    return np.where(both < 8, both, both - 16).astype(np.int8)


def _check_scale(scale: np.float32) -> Verdict:
    if not np.isfinite(scale):
        return Verdict.NOT_FINITE
    if scale.view(np.uint32) != 0 and not scale >= _SMALLEST_SCALE:
        return Verdict.MALFORMED
    return Verdict.MAGNITUDE if scale > MAX_MAGNITUDE else Verdict.VALID
