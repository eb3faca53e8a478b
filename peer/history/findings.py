"""What a check of a chain came to: what holds, what could not be looked at, and what is wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a chain. round: None where it is not about one."""

    round: int | None
    text: str

    def __str__(self) -> str:
        return self.text if self.round is None else f"round {self.round}: {self.text}"


@dataclass(slots=True, kw_only=True)
class Findings:
    """Filled by one check. manifests: rounds whose digest and signatures hold; links: those that follow from the round
    before by the rules; models: those whose model was computed anew; snapshots: those that a snapshot was found for.

    from_start: whether the chain was followed from the run's own beginning. unchecked: what could not be looked at.
    """

    manifests: list[int] = field(default_factory=list)
    headers: int = 0
    links: list[int] = field(default_factory=list)
    models: list[int] = field(default_factory=list)
    snapshots: list[int] = field(default_factory=list)
    from_start: bool = False
    model_file: bool = False
    unchecked: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, number: int | None, text: str) -> None:
        self.problems.append(Problem(round=number, text=text))


def ranges(numbers: Sequence[int]) -> str:
    """Return `1 to 9, 12`, or `none`; `numbers` grow."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(span(low, high) for low, high in spans) or "none"


def span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"
