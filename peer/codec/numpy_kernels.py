"""The codecs' inner loops in NumPy: slow, short, and written from the format's description alone.

Source of int8 in blocks: Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization" (with linear
steps); of top-k: Aji & Heafield 2017, "Sparse Communication for Distributed Gradient Descent".
"""

import struct

import numpy as np

from peer.codec.codec import MAX_MAGNITUDE
from peer.codec.kernels import INT8_BLOCK, Verdict
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
        scales, quantised = [], [b""]
        for at in range(0, values.size, INT8_BLOCK):
            block = values[at : at + INT8_BLOCK]
            largest = np.abs(block).max()
            if not np.isfinite(largest):
                scales.append(np.float32(np.nan if np.isnan(largest) else np.inf))
                quantised.append(bytes(block.size))
            elif largest < _SMALLEST_BLOCK:
                scales.append(np.float32(0.0))
                quantised.append(bytes(block.size))
            else:
                scales.append(largest / np.float32(127))
                quantised.append(np.rint(block * (np.float32(127) / largest)).astype(np.int8).tobytes())
        return np.asarray(scales, "<f4").tobytes() + b"".join(quantised)

    def decode_int8(self, data: bytes | memoryview, values: Params) -> int:
        scales = -(-values.size // INT8_BLOCK)
        if len(data) != 4 * scales + values.size:
            return Verdict.PAYLOAD_SIZE
        quantised = np.frombuffer(data, np.int8, offset=4 * scales)
        for number, scale in enumerate(np.frombuffer(data, "<f4", count=scales)):
            block = slice(number * INT8_BLOCK, (number + 1) * INT8_BLOCK)
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
        scales = 4 * -(-count // INT8_BLOCK)
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


def _check_scale(scale: np.float32) -> Verdict:
    if not np.isfinite(scale):
        return Verdict.NOT_FINITE
    if scale.view(np.uint32) != 0 and not scale >= _SMALLEST_SCALE:
        return Verdict.MALFORMED
    return Verdict.MAGNITUDE if scale > MAX_MAGNITUDE else Verdict.VALID
