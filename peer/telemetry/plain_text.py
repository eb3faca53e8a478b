"""Numbers, sizes, times and the words of strangers as short plain text, alike wherever a person reads them."""

import math

from peer.types import Digest

_DIGEST_DIGITS = 6


def printable(text: str) -> str:
    """Escape line ends, terminal sequences and everything else that a stranger could draw with."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii")
        for char in text
    )


def shortened(text: str, *, most: int) -> str:
    """Return at most so many characters, with ... in place of what is left out."""
    return text if len(text) <= most else text[: most - 3] + "..."


def number(value: float) -> str:
    """Return one decimal, or `-` while there is no value."""
    return f"{value:.1f}" if math.isfinite(value) else "-"


def amount(value: float) -> str:
    """Return a count in at most 5 characters: 950, 84.2k, 842k, 1.3M."""
    if not math.isfinite(value):
        return "-"
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= factor * 0.9995:
            return f"{_three_digits(value / factor)}{unit}"
    return f"{value:.0f}"


def size(count: int) -> str:
    """Return bytes in decimal units, in at most 7 characters: 512 B, 11.2 KB, 842 KB, 3.4 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= factor * 0.9995:
            return f"{_three_digits(count / factor)} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """Return 4.2 s, 3 min 05 s, or 2 h 07 min."""
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def drawing(weights: int, about_s: float) -> str:
    """Return what is done while a first model is drawn; the time is rounded, as it is that of another machine."""
    time = f"{about_s:.0f} s" if about_s < 90 else f"{about_s / 60:.0f} min"
    return f"drawing the {amount(weights)} first weights, which takes about {time}"


def short(digest: Digest) -> str:
    return digest.hex()[:_DIGEST_DIGITS]


def plural(count: int, noun: str, *, ending: str = "s") -> str:
    """Return 1 peer, 3 peers, 12,000 peers."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{ending}"


def sealed_model(model: Digest, *, round_number: int, kept: bool) -> str:
    """Return which model a round ended with. kept: it is that of the round before, which solved the run."""
    return f"solved: kept model {short(model)} of round {round_number - 1}" if kept else f"model {short(model)}"


def _three_digits(value: float) -> str:
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
