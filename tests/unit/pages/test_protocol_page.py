"""docs/protocol.md names every message and every request that the sources of the wire have."""

import importlib
import pkgutil
import re

import msgspec

import peer.wire
from peer.wire import envelope
from peer.wire.limits import PROTOCOL_VERSION
from peer.wire.messages import DepartedEntry, GroupMember, Rejection, RosterEntry
from peer.wire.proofs import ProofPair
from peer.wire.sync import Tip
from tests.unit.pages.pages import ROOT, text

PAGE = text(ROOT / "docs/protocol.md")
MODULES = [importlib.import_module(f"peer.wire.{found.name}") for found in pkgutil.iter_modules(peer.wire.__path__)]
PARTS = {DepartedEntry, GroupMember, ProofPair, Rejection, RosterEntry, Tip}
"""Not messages: what some of them consist of."""


def test_every_message_is_named() -> None:
    structs = {
        value
        for module in MODULES
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, msgspec.Struct) and not name.startswith("_")
    }
    assert len(structs) > 25
    assert {each.__name__ for each in structs - PARTS - {msgspec.Struct} if f"`{each.__name__}`" not in PAGE} == set()


def test_every_request_is_named() -> None:
    names = {value for module in MODULES for name, value in vars(module).items() if name.endswith("_PROTOCOL")}
    assert len(names) > 10
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_version_is_that_of_the_page() -> None:
    assert f"protocol version {PROTOCOL_VERSION}\n" in PAGE


def test_bounds_of_signed_messages_are_those_of_the_page() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (\d+) (B|KiB) \|$", PAGE, flags=re.MULTILINE)
    told = {name: int(number) * {"B": 1, "KiB": 1024}[unit] for name, number, unit in rows}
    assert told == {message.__name__: kind.max_bytes for message, kind in envelope._KINDS.items()}
