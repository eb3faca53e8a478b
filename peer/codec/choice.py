"""`codec: auto`: which codec a model of some size is worth."""

AUTO = "auto"

_SMALL_BYTES = 256 * 1024
_LARGE_BYTES = 8 * 1024 * 1024


def choose_codec(wanted: str, *, num_params: int, sparse: bool = True) -> str:
    """Return the codec for own deltas: `wanted` itself, or for "auto" by the size of the model in float32.

    sparse: whether the aggregation rule can take sparse codecs. One that cannot looks at single coordinates, and gets 8
    bits of each. Below 256 KB a delta is nothing to a network, and is sent exactly; up to 8 MB with 4 bits a parameter,
    with which a swarm learns as with 32 (docs/adr/0095); above, the upload costs more than what top-k loses.
    """
    if wanted != AUTO:
        return wanted
    size = 4 * num_params
    if size < _SMALL_BYTES:
        return "float32"
    if not sparse:
        return "int8+zstd"
    return "topk-int8+zstd" if size > _LARGE_BYTES else "int4+zstd"
