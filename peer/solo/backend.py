"""Read the core's words about what computes, such as "libtorch on cpu" or "fused (AVX-512) on cpu"."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What computes the learner's networks.

    name: as compute.backend spells it. kernels: which set of instructions it uses, where it says so.
    """

    name: str
    kernels: str | None
    device: str


def parse_backend(text: str) -> Backend:
    computes, _, device = text.rpartition(" on ")
    name, _, kernels = computes.partition(" (")
    return Backend(name=name, kernels=kernels.removesuffix(")") or None, device=device)
