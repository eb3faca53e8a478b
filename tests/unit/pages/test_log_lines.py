"""The guide and the troubleshooting page explain every line that the log shows by default, and quote what is said."""

import re
from functools import cache

import pytest

from peer.telemetry import disk_events, peer_events, process_events, round_events
from peer.telemetry.event import Event
from peer.telemetry.names import NameBook
from peer.telemetry.text_format import TextFormat
from tests.unit.pages.pages import ROOT, text
from tests.unit.telemetry.samples import ALICE, EVENT_TYPES, sample

PAGES = [ROOT / "docs/user-guide.md", ROOT / "docs/troubleshooting.md"]
CHANGING = re.compile(r"\.\.\.|\S*\d\S*|peer-\S+|/\S+|'[^']*'|\S+\.yaml|heavy-pole|standard")
"""What differs from line to line: numbers, names, paths, and what a page leaves out."""

OF_THE_SYSTEM = """file exists
no space left on device
read-only file system
permission denied
connection refused
too many open files"""

EXAMPLES: dict[type[Event], dict[str, object]] = {
    disk_events.OtherSettingsKept: {"keys": ("run.seed",)},
    disk_events.StorageFailed: {"operation": "save a snapshot"},
    disk_events.StorageRecovered: {"operation": "save a snapshot"},
    peer_events.DiscoveryFailed: {"source": "dns peer:4001"},
    peer_events.PeerRefused: {"reason": "swarm_key", "detail": "its swarm key is not ours"},
    process_events.GoalMayBeOutOfReach: {"what": "stop.mean_return is 475, made for CartPole-v1"},
    process_events.LookingFor: {"targets": ("dns peer:4001",)},
    process_events.ShutdownStarted: {"cause": "SIGTERM"},
    process_events.Waiting: {"what": "the deltas of peer-4"},
    round_events.RobustnessChanged: {"rule": "multi-krum"},
    round_events.TaskMoved: {"task": "heavy-pole"},
    round_events.TasksAssigned: {"tasks": ("standard",)},
}
"""Values of the lines whose own words are few."""

LEAST = 9
"""Letters that tell a line from others."""

SHOWN = [kind for kind in EVENT_TYPES if kind.level != "debug" and not kind.for_machines]


@cache
def quotes() -> list[str]:
    """Return what the tables of the pages quote in their first column; single words are no lines."""
    cells = [line.split("|")[1] for page in PAGES for line in text(page).splitlines() if line.startswith("| `")]
    return [quote for cell in cells for quote in re.findall(r"`([^`]+)`", cell) if " " in quote]


def unchanging(quote: str) -> list[str]:
    return [part.strip(" ,;:()") for part in CHANGING.split(quote)]


@cache
def said() -> str:
    """Return all sources of the program, their texts in one piece, and the messages of the system that it passes on."""
    sources = [re.sub(r'"\s*\n\s*f?"', "", text(file)) for file in (ROOT / "peer").rglob("*.py")]
    return "\n".join([*sources, OF_THE_SYSTEM])


def pieces(part: str) -> int:
    """Return of how many texts of the program, one behind the other, the words are made up; 99: of none."""
    words = part.split()
    for end in range(len(words), 0, -1):
        if " ".join(words[:end]).strip(",;:()") in said():
            return 1 + (pieces(" ".join(words[end:])) if end < len(words) else 0)
    return 99 if words else 0


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
def test_every_line_that_is_shown_by_default_is_explained(kind: type[Event]) -> None:
    names = NameBook()
    names.learn(ALICE, "peer-1")
    line = TextFormat(names=names).line(sample(kind, **EXAMPLES.get(kind, {})), peer="peer-3")
    assert any(len(part) >= LEAST and part in line for quote in quotes() for part in unchanging(quote)), line


@pytest.mark.parametrize("quote", quotes())
def test_every_line_that_is_quoted_is_what_the_program_says(quote: str) -> None:
    assert all(pieces(part) <= 3 for part in unchanging(quote))
