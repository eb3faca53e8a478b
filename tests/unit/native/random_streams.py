"""The core's streams of random numbers (murmur/base/rng.hpp), in plain Python."""

from collections.abc import Iterator

MASK = 2**64 - 1


def mix64(x: int) -> int:
    """SplitMix64's finaliser (Steele, Lea & Flood 2014)."""
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def pcg32(seed: int, stream: int) -> Iterator[int]:
    """PCG32 XSH-RR (O'Neill 2014), seeded as murmur::Rng is."""
    key = mix64(seed)
    start = mix64(key ^ mix64(stream))
    increment = ((mix64((key + mix64(~stream & MASK)) & MASK) << 1) | 1) & MASK
    state = 0

    def step() -> int:
        nonlocal state
        old = state
        state = (old * 6364136223846793005 + increment) & MASK
        shifted = (((old >> 18) ^ old) >> 27) & 0xFFFFFFFF
        turn = old >> 59
        return ((shifted >> turn) | (shifted << (-turn & 31))) & 0xFFFFFFFF

    step()
    state = (state + start) & MASK
    step()
    while True:
        yield step()


def uniform(rng: Iterator[int]) -> float:
    """Draw from [0, 1): one of 2^24 equally likely numbers."""
    return (next(rng) >> 8) * 2.0**-24


def below(rng: Iterator[int], bound: int) -> int:
    """Draw an integer from [0, bound), bound <= 2^32, by masked rejection."""
    mask = (1 << max(1, (bound - 1).bit_length())) - 1
    while (value := next(rng) & mask) >= bound:
        pass
    return value
