"""What all codecs share: parameters as some format has them, then the statistics, exact, as float64."""

import numpy as np

from peer.codec.kernels import Verdict
from peer.errors import ProtocolError
from peer.types import ModelDelta, ModelSchema, Moments, Params

_MAX_COUNT = 2.0**52
_MAX_MOMENT = 1e100

_DETAILS = {
    Verdict.PAYLOAD_SIZE: "the parameters are not as long as this model's",
    Verdict.NOT_FINITE: "the delta holds NaN or infinity",
    Verdict.MAGNITUDE: "a coordinate exceeds 2^15",
    Verdict.MALFORMED: "no encoder writes such bytes",
}


def statistics_bytes(schema: ModelSchema) -> int:
    return 24 * schema.num_moments


def join(params: bytes | memoryview, moments: Moments) -> bytes:
    """Return a payload: the encoded parameters, then count, mean and m2 as float64[M] each, little endian."""
    rows = np.stack([moments.count, moments.mean, moments.m2])
    return b"".join((params, np.asarray(rows, "<f8").tobytes()))


def split(data: bytes, schema: ModelSchema) -> tuple[memoryview, Moments]:
    """Return a view of the encoded parameters, and the checked statistics, which do not keep `data` alive.

    Raises: ProtocolError.
    """
    border = len(data) - statistics_bytes(schema)
    if border < 0:
        raise ProtocolError("payload_size", f"{len(data)} bytes do not hold this model's statistics")
    rows = np.frombuffer(data, "<f8", count=3 * schema.num_moments, offset=border).reshape(3, schema.num_moments).copy()
    if not np.isfinite(rows).all():
        raise ProtocolError("not_finite", "the statistics hold NaN or infinity")
    count, mean, m2 = rows
    if (count < 0).any() or (count > _MAX_COUNT).any() or (m2 < 0).any() or (np.abs(rows) > _MAX_MOMENT).any():
        raise ProtocolError("moments", "a count or a variance is negative or out of range")
    return memoryview(data)[:border], Moments(count=count, mean=mean, m2=m2)


def delta_of(verdict: int, params: Params, moments: Moments) -> ModelDelta:
    """Return the delta if the parameters were found valid. Raises: ProtocolError otherwise."""
    if verdict != Verdict.VALID:
        reason = Verdict(verdict)
        raise ProtocolError(reason.name.lower(), _DETAILS[reason])
    return ModelDelta(params=params, moments=moments)
