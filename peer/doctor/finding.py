"""What a check found, and how a list of findings reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warn", "fail"]

_LABELS: dict[Verdict, str] = {"ok": "ok", "warn": "warn", "fail": "FAIL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check.

    subject: what was looked at, a word or two. next_step: what the user should do; empty when all is well.
    """

    verdict: Verdict
    subject: str
    text: str
    next_step: str = ""

    def __post_init__(self) -> None:
        if self.verdict == "fail" and not self.next_step:
            raise ValueError(f"a failure needs a next step: {self.text}")

    def json(self) -> dict[str, str]:
        return {"verdict": self.verdict, "subject": self.subject, "text": self.text, "next_step": self.next_step}


def line(finding: Finding) -> str:
    """Return one line for people, and the next step below it."""
    text = f"{_LABELS[finding.verdict]:<5} {finding.subject:<9} {finding.text}"
    return f"{text}\n{'':<16}-> {finding.next_step}" if finding.next_step else text


def failed(findings: Sequence[Finding]) -> bool:
    return any(finding.verdict == "fail" for finding in findings)
