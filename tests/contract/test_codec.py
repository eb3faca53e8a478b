"""What every codec must do; one suite over the registry."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from peer.codec.codec import MAX_MAGNITUDE, Codec
from peer.codec.registry import CODECS
from peer.errors import ProtocolError
from peer.types import Digest, ModelDelta, ModelSchema, Moments

SCHEMA = ModelSchema(num_params=7, num_moments=3, digest=Digest(b"s" * 32))
each_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())


def delta(params: object, *, count: float = 2.0, mean: float = 0.5, m2: float = 1.0) -> ModelDelta:
    moments = Moments(count=np.full(3, count), mean=np.full(3, mean), m2=np.full(3, m2))
    return ModelDelta(params=np.asarray(params, np.float32), moments=moments)


@each_codec
@settings(max_examples=50)
@given(params=hnp.arrays(np.float32, 7, elements=st.floats(-MAX_MAGNITUDE, MAX_MAGNITUDE, width=32)))
def test_valid_delta_decodes_to_a_valid_delta_with_exact_statistics(codec: Codec, params: np.ndarray) -> None:
    data = codec.encode(delta(params))
    decoded = codec.decode(data, SCHEMA)
    assert len(data) <= codec.max_bytes(SCHEMA)
    assert decoded.params.dtype == np.float32
    assert np.abs(decoded.params - params).max() <= np.abs(params).max() / 64
    assert decoded.moments.count.tolist() == [2.0] * 3
    assert codec.encode(delta(params)) == data


@each_codec
@given(data=st.binary(max_size=200))
def test_random_bytes_are_decoded_or_refused(codec: Codec, data: bytes) -> None:
    reason = ""
    try:
        assert np.isfinite(codec.decode(data, SCHEMA).params).all()
    except ProtocolError as error:
        reason = error.reason
    assert reason in {"", "payload_size", "not_finite", "magnitude", "moments", "malformed"}


@each_codec
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (delta([np.nan] * 7), "not_finite"),
        (delta([np.inf] + [0.0] * 6), "not_finite"),
        (delta([2 * MAX_MAGNITUDE] * 7), "magnitude"),
        (delta([0.0] * 7, count=-1.0), "moments"),
        (delta([0.0] * 7, count=2.0**53), "moments"),
        (delta([0.0] * 7, mean=np.nan), "not_finite"),
        (delta([0.0] * 7, m2=-1.0), "moments"),
        (delta([0.0] * 7, m2=1e200), "moments"),
    ],
    ids=["nan", "inf", "huge", "negative count", "huge count", "nan mean", "negative m2", "huge m2"],
)
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
    assert caught.value.reason == "payload_size"
