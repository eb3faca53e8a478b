"""What every codec must do; one suite over the registry."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.codec.codec import MAX_MAGNITUDE, Codec
from peer.codec.numpy_kernels import NumpyKernels
from peer.codec.registry import make_codecs
from peer.errors import ProtocolError
from peer.native import NativeCodecKernels
from peer.types import Digest, ModelDelta, ModelSchema, Moments

SCHEMA = ModelSchema(num_params=7, num_moments=3, digest=Digest(b"s" * 32))
REASONS = {"payload_size", "not_finite", "magnitude", "moments", "malformed"}
NATIVE = make_codecs(NativeCodecKernels())
REFERENCE = {f"{name} by NumPy": codec for name, codec in make_codecs(NumpyKernels()).items() if "zstd" not in name}
CASES = NATIVE | REFERENCE
each_codec = pytest.mark.parametrize("codec", CASES.values(), ids=CASES.keys())


def schema_of(params: np.ndarray) -> ModelSchema:
    return ModelSchema(num_params=params.size, num_moments=3, digest=Digest(b"s" * 32))


def delta(params: object, *, count: float = 2.0, mean: float = 0.5, m2: float = 1.0) -> ModelDelta:
    moments = Moments(count=np.full(3, count), mean=np.full(3, mean), m2=np.full(3, m2))
    return ModelDelta(params=np.asarray(params, np.float32), moments=moments)


def rows_of(whole: ModelDelta) -> tuple[np.ndarray, ...]:
    return whole.moments.count, whole.moments.mean, whole.moments.m2


@each_codec
@settings(max_examples=30)
@given(params=hnp.arrays(np.float32, 7, elements=st.floats(-MAX_MAGNITUDE, MAX_MAGNITUDE, width=32)))
def test_valid_delta_decodes_to_a_valid_delta_with_exact_statistics(codec: Codec, params: np.ndarray) -> None:
    exact = delta(params, count=3.0, mean=1 / 3, m2=0.1)
    data = codec.encode(exact)
    decoded = codec.decode(data, SCHEMA)
    assert len(data) <= codec.max_bytes(SCHEMA)
    assert decoded.params.dtype == np.float32
    assert decoded.params.shape == (7,)
    for got, want in zip(rows_of(decoded), rows_of(exact), strict=True):
        assert got.tobytes() == want.tobytes()
    assert codec.encode(exact) == data


@each_codec
@settings(max_examples=30)
@given(
    params=hnp.arrays(np.float32, st.integers(1, 1500), elements=st.floats(-1, 1, width=32)),
    scale=st.sampled_from([2.0**-60, 1e-6, 1.0, 2.0**15]),
)
def test_what_is_left_out_is_less_than_what_there_was(codec: Codec, params: np.ndarray, scale: float) -> None:
    """Every codec is a contraction, which is what error feedback needs to converge: it transmits the largest coordinate
    at least. Source: Karimireddy et al. 2019, "Error Feedback Fixes SignSGD", assumption A."""
    params = (params * np.float32(scale)).astype(np.float32)
    decoded = codec.decode(codec.encode(delta(params)), schema_of(params)).params
    exact = params.astype(np.float64)
    left = exact - decoded
    norm = np.sum(np.square(exact))
    assert np.sum(np.square(left)) <= max(norm - 0.99 * np.max(np.square(exact), initial=0.0), 2.0**-120)
    if not codec.sparse:
        half_step = np.abs(exact).max() / (13 if codec.coarse else 253)
        assert np.abs(left).max() <= max(half_step, 2.0**-64)


@each_codec
@pytest.mark.parametrize("value", [MAX_MAGNITUDE, -MAX_MAGNITUDE, 1e-45, 2.0**-126, 0.0])
def test_extreme_values_are_valid(codec: Codec, value: float) -> None:
    decoded = codec.decode(codec.encode(delta([value] * 7)), SCHEMA).params
    assert np.abs(decoded).max() <= MAX_MAGNITUDE
    assert decoded[0] == pytest.approx(value, rel=1e-3, abs=1e-19)


@each_codec
@settings(max_examples=60)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_decoded_or_refused(codec: Codec, data: bytes) -> None:
    reason = ""
    try:
        assert np.isfinite(codec.decode(data, SCHEMA).params).all()
    except ProtocolError as error:
        reason = error.reason
    assert reason in {""} | REASONS


@each_codec
@settings(max_examples=60)
@given(at=st.integers(0, 400), xor=st.integers(1, 255), values=st.integers(0, 2**32))
def test_damaged_payload_is_decoded_to_something_valid_or_refused(codec: Codec, at: int, xor: int, values: int) -> None:
    params = np.random.default_rng(values).normal(size=100).astype(np.float32)
    data = bytearray(codec.encode(delta(params)))
    data[at % len(data)] ^= xor
    reason = ""
    try:
        decoded = codec.decode(bytes(data), schema_of(params))
        assert np.abs(decoded.params).max() <= MAX_MAGNITUDE
        assert (decoded.moments.m2 >= 0).all()
    except ProtocolError as error:
        reason = error.reason
    assert reason in {""} | REASONS


@each_codec
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (delta([np.nan] * 7), "not_finite"),
        (delta([0.0] * 6 + [np.nan]), "not_finite"),
        (delta([np.inf] + [0.0] * 6), "not_finite"),
        (delta([-np.inf] + [1.0] * 6), "not_finite"),
        (delta([2 * MAX_MAGNITUDE] * 7), "magnitude"),
        (delta([1e38] * 7), "magnitude"),
        (delta([0.0] * 7, count=-1.0), "moments"),
        (delta([0.0] * 7, count=2.0**53), "moments"),
        (delta([0.0] * 7, mean=np.nan), "not_finite"),
        (delta([0.0] * 7, m2=-1.0), "moments"),
        (delta([0.0] * 7, m2=1e200), "moments"),
    ],
    ids=["nan", "one nan", "inf", "-inf", "huge", "1e38", "negative count", "huge count", "nan mean", "negative m2",
         "huge m2"],
)  # fmt: skip
def test_harmful_content_is_refused(codec: Codec, bad: ModelDelta, reason: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        codec.decode(codec.encode(bad), SCHEMA)
    assert caught.value.reason == reason


@each_codec
@pytest.mark.parametrize("change", [-1, 1, 4])
def test_payload_of_another_shape_is_refused(codec: Codec, change: int) -> None:
    data = codec.encode(delta([1.0] * 7))
    other = data[:change] if change < 0 else data + bytes(change)
    with pytest.raises(ProtocolError) as caught:
        codec.decode(other, SCHEMA)
    assert caught.value.reason in {"payload_size", "malformed", "moments", "not_finite"}


@each_codec
@pytest.mark.parametrize("size", [6, 8, 600])
def test_payload_of_another_model_is_refused(codec: Codec, size: int) -> None:
    """A sparse payload says nothing about the size of its model; positions beyond this one's are all that shows."""
    params = np.zeros(size)
    params[-1] = 1.0
    if codec.sparse and size < SCHEMA.num_params:
        return
    with pytest.raises(ProtocolError) as caught:
        codec.decode(codec.encode(delta(params)), SCHEMA)
    assert caught.value.reason in {"payload_size", "malformed"}


@each_codec
def test_bound_holds_for_the_least_compressible_delta(codec: Codec) -> None:
    """Every coordinate kept, bits at random: nothing that an encoder writes is ever refused for its size."""
    params = np.random.default_rng(1).uniform(-1, 1, 70_000).astype(np.float32)
    full = make_codecs(NativeCodecKernels(), top_k_fraction=1.0)[codec.name]
    for candidate in (codec, full):
        assert len(candidate.encode(delta(params))) <= codec.max_bytes(schema_of(params))


@each_codec
def test_name_fits_into_a_header(codec: Codec) -> None:
    assert 1 <= len(codec.name) <= 16
