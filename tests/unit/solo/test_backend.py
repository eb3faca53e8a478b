"""How the core names what computes, taken apart."""

import pytest

from peer.native import PpoSettings, make_ppo_agent
from peer.solo.backend import Backend, parse_backend


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("libtorch on cpu", Backend(name="libtorch", kernels=None, device="cpu")),
        ("fused (AVX-512) on cpu", Backend(name="fused", kernels="AVX-512", device="cpu")),
        ("libtorch on cuda:0", Backend(name="libtorch", kernels=None, device="cuda:0")),
    ],
)
def test_the_words_are_taken_apart(text: str, backend: Backend) -> None:
    assert parse_backend(text) == backend


@pytest.mark.parametrize("name", ["libtorch", "fused"])
def test_the_core_speaks_so(name: str) -> None:
    agent = make_ppo_agent("CartPole-v1", PpoSettings(backend=name, device="cpu"))
    backend = parse_backend(agent.backend_name)
    assert (backend.name, backend.device) == (name, "cpu")
    assert (backend.kernels is None) == (name == "libtorch")
