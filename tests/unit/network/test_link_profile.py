"""Link profiles: distributions have the shape they name, senseless numbers are refused."""

import random
import statistics

import pytest

from peer.network.memory_network import LinkProfile, lognormal_latency, uniform_latency


def test_latency_distributions_have_the_shape_they_name() -> None:
    rng = random.Random(1)
    uniform = [uniform_latency(0.1, 0.3)(rng) for _ in range(2000)]
    assert 0.1 <= min(uniform) < max(uniform) <= 0.3
    tailed = sorted(lognormal_latency(0.05, 0.5)(rng) for _ in range(4000))
    assert statistics.median(tailed) == pytest.approx(0.05, rel=0.05)
    assert tailed[int(0.99 * 4000)] == pytest.approx(0.05 * 3.2, rel=0.15)


@pytest.mark.parametrize(
    "changes", [{"gossip_loss": 1.1}, {"request_loss": -0.1}, {"duplication": 2.0}, {"bytes_per_s": 0.0}]
)
def test_senseless_profile_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="got"):
        LinkProfile(**changes)  # type: ignore[arg-type]  # the point of the test
