"""The core's kernels against the reference: the same bytes, the same numbers, the same verdicts."""

import hashlib
from collections.abc import Callable

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.codec.kernels import BLOCK, CodecKernels, Verdict
from peer.codec.numpy_kernels import NumpyKernels
from peer.native import NativeCodecKernels
from peer.types import Params

NUMPY: CodecKernels = NumpyKernels()
NATIVE: CodecKernels = NativeCodecKernels()
Encode = Callable[[CodecKernels, Params], bytes]
Decode = Callable[[CodecKernels, bytes, Params], int]
FORMATS: dict[str, tuple[Encode, Decode]] = {
    "float16": (lambda k, v: k.encode_float16(v), lambda k, d, v: k.decode_float16(d, v)),
    "int8": (lambda k, v: k.encode_int8(v), lambda k, d, v: k.decode_int8(d, v)),
    "int4": (lambda k, v: k.encode_int4(v), lambda k, d, v: k.decode_int4(d, v)),
    "top-1": (lambda k, v: k.encode_top_k(v, 1), lambda k, d, v: k.decode_top_k(d, v)),
    "top-10%": (lambda k, v: k.encode_top_k(v, -(-v.size // 10)), lambda k, d, v: k.decode_top_k(d, v)),
    "top-all": (lambda k, v: k.encode_top_k(v, v.size), lambda k, d, v: k.decode_top_k(d, v)),
}
each_format = pytest.mark.parametrize(("encode", "decode"), FORMATS.values(), ids=FORMATS.keys())
any_float = st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True)
SIZES = (0, 1, 15, 16, 17, BLOCK - 1, BLOCK, BLOCK + 1, 5000)


def assert_equal(encode: Encode, decode: Decode, values: Params) -> None:
    data = encode(NATIVE, values)
    assert data == encode(NUMPY, values)
    assert_decoded_alike(decode, data, values.size)


def assert_decoded_alike(decode: Decode, data: bytes, size: int) -> None:
    native, numpy = np.full(size, 7, np.float32), np.full(size, 7, np.float32)
    verdict = decode(NATIVE, data, native)
    assert verdict == decode(NUMPY, data, numpy)
    if verdict == Verdict.VALID:
        assert native.tobytes() == numpy.tobytes()


@each_format
@settings(max_examples=60)
@given(values=hnp.arrays(np.float32, st.integers(0, 1100), elements=any_float, fill=st.just(0.25)))
def test_any_values_give_the_same_bytes_and_numbers(encode: Encode, decode: Decode, values: Params) -> None:
    assert_equal(encode, decode, values)


@each_format
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["normal", "heavy", "ties", "sparse", "tiny", "bits"])
def test_many_values_give_the_same_bytes_and_numbers(encode: Encode, decode: Decode, size: int, kind: str) -> None:
    rng = np.random.default_rng(size)
    values = {
        "normal": rng.normal(size=size),
        "heavy": rng.standard_t(1.5, size=size),
        "ties": rng.integers(-3, 4, size=size) * 0.125,
        "sparse": rng.normal(size=size) * (rng.random(size) < 0.003),
        "tiny": rng.normal(size=size) * 2.0 ** rng.integers(-150, -50, size=size),
        "bits": rng.integers(0, 2**32, size=size, dtype=np.uint32).view(np.float32),
    }[kind]
    with np.errstate(over="ignore"):
        assert_equal(encode, decode, np.asarray(values, np.float32))


@each_format
def test_hundred_thousand_values_give_the_same_bytes(encode: Encode, decode: Decode) -> None:
    """Long enough for the core's way to guess the threshold of top-k from a sample, and for the guess to fail."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=100_000).astype(np.float32)
    values[::24] *= 1000  # what a sample with a fixed stride sees
    assert_equal(encode, decode, values)
    assert_equal(encode, decode, np.asarray(np.full(50_000, 0.5), np.float32))


@each_format
@settings(max_examples=100)
@given(data=st.binary(max_size=64), size=st.integers(0, 40))
def test_any_bytes_get_the_same_verdict(encode: Encode, decode: Decode, data: bytes, size: int) -> None:
    assert_decoded_alike(decode, data, size)


@each_format
@settings(max_examples=100)
@given(seed=st.integers(0, 2**32), at=st.integers(0), byte=st.integers(0, 255))
def test_damaged_bytes_get_the_same_verdict(encode: Encode, decode: Decode, seed: int, at: int, byte: int) -> None:
    values = np.random.default_rng(seed).normal(size=600).astype(np.float32)
    data = bytearray(encode(NATIVE, values))
    data[at % len(data)] = byte
    assert_decoded_alike(decode, bytes(data), values.size)


@settings(max_examples=60)
@given(values=hnp.arrays(np.float32, st.integers(0, 40), elements=any_float))
def test_values_get_the_same_verdict(values: Params) -> None:
    assert NATIVE.check_values(values) == NUMPY.check_values(values)


@pytest.mark.parametrize("kernels", [NUMPY, NATIVE], ids=["numpy", "native"])
def test_int4_puts_the_halves_of_a_block_side_by_side(kernels: CodecKernels) -> None:
    data = kernels.encode_int4(np.asarray([7, -7, 1, 0, 3], np.float32))
    assert data == np.float32(1).tobytes() + bytes([0x07, 0x39, 0x01])
    decoded = np.zeros(5, np.float32)
    assert kernels.decode_int4(data[:-1] + b"\x11", decoded) == Verdict.MALFORMED, "a half that no value needs"


GOLDEN = {
    "float16": "29f53b24ed87e8c2",
    "int8": "c3fbc865082917c9",
    "int4": "ad90d308415e0e00",
    "top-1": "b0b69313e43bca47",
    "top-10%": "cd8a23481fda6341",
    "top-all": "b4ed91d089713ed2",
}


@pytest.mark.parametrize("name", FORMATS)
def test_bytes_are_those_of_every_other_machine(name: str) -> None:
    """Integers and powers of two alone make the values, so that they are the same everywhere. A change of a hash is a
    change of the format: give the codec a new name."""
    state = np.arange(3000, dtype=np.uint64) * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    values = ((state >> np.uint64(40)).astype(np.float32) - np.float32(2**23)) * np.float32(2.0**-30)
    data = FORMATS[name][0](NATIVE, values)
    assert hashlib.sha256(data).hexdigest()[:16] == GOLDEN[name]


class TestBorder:
    def test_wrong_dtype_is_an_error_and_not_a_cast(self) -> None:
        with pytest.raises(TypeError, match="float32"):
            NATIVE.encode_int8(np.zeros(3))  # type: ignore[arg-type]  # what is tested

    def test_strided_values_are_refused(self) -> None:
        with pytest.raises(ValueError, match="contiguous"):
            NATIVE.encode_int8(np.zeros(6, np.float32)[::2])

    def test_read_only_output_is_refused(self) -> None:
        values = np.zeros(3, np.float32)
        values.flags.writeable = False
        with pytest.raises(ValueError, match="writeable"):
            NATIVE.decode_int8(bytes(7), values)

    def test_a_view_of_bytes_is_as_good_as_bytes(self) -> None:
        values = np.asarray([1, -2, 3], np.float32)
        decoded = np.zeros(3, np.float32)
        data = b"xx" + NATIVE.encode_int8(values)
        assert NATIVE.decode_int8(memoryview(data)[2:], decoded) == Verdict.VALID
        assert decoded == pytest.approx(values, abs=0.02)
