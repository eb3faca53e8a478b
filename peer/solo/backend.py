"""Read the core's words about what computes."""


def split_backend(name: str) -> tuple[str, str]:
    """Return back end and device of a name such as "libtorch on cpu" or "fused (avx512) on cpu"."""
    backend, _, device = name.rpartition(" on ")
    return backend, device
