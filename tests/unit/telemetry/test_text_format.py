"""Lines for people: the round line to the letter, alignment, and nothing a stranger can draw with."""

import math

import pytest

from peer.telemetry import peer_events, process_events, round_events
from peer.telemetry.event import Event
from peer.telemetry.names import NameBook
from peer.telemetry.sentences import MAX_LINE
from peer.telemetry.text_format import TextFormat
from peer.types import PeerId
from tests.unit.telemetry.samples import ALICE, DIGEST, EVENT_TYPES, round_sealed, sample

BOB = PeerId("12D3KooWBobBobBob222")
AT = "/ip4/192.0.2.7/tcp/4001"


@pytest.fixture
def text() -> TextFormat:
    names = NameBook()
    names.learn(ALICE, "peer-1")
    return TextFormat(names=names)


def test_round_line_is_the_documented_one(text: TextFormat) -> None:
    assert text.line(round_sealed(), peer="peer-3") == (
        "peer-3 | round 41 | return 312.4 (best 340.1) | 5/5 peers | 84.2k steps/s | delta 11.2 KB float32"
        " | sealed by peer-1 in 0.3 s | model 9f3ac2"
    )


def test_round_that_ends_a_solved_run_says_whose_model_was_kept(text: TextFormat) -> None:
    line = text.line(round_sealed(stop="solved"), peer="peer-3")
    assert line.endswith(" | sealed by peer-1 in 0.3 s | solved: kept model 9f3ac2 of round 40")
    assert text.line(round_sealed(stop="max_rounds"), peer="peer-3").endswith(" s | model 9f3ac2")


@pytest.mark.parametrize(("frames", "streams", "is_blamed"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_something_at_the_port_is_suspected_only_where_more_than_messages_came(
    text: TextFormat, frames: int, streams: int, *, is_blamed: bool
) -> None:
    line = text.line(peer_events.InputRefused(frames=frames, streams=streams, messages=6), peer="peer-3")
    assert " 6 messages" in line
    assert ("knocks at this port" in line) == is_blamed


def test_round_lines_of_eight_peers_align(text: TextFormat) -> None:
    """Each peer has its own format; what differs between peers in one round must not shift a column."""
    lines = []
    for index, (mean, speed, size_bytes) in enumerate(
        [(9.0, 950, 512), (312.4, 84_200, 11_200), (500.0, 1_300_000, 999_000), (math.nan, 0, 1_000), (-99.9, 12, 20)]
    ):
        names = NameBook()
        names.learn(ALICE, "peer-1")
        event = round_sealed(
            round=9 + index % 2, mean_return=mean, best_return=max(mean, 9), steps_per_s=speed, delta_bytes=size_bytes
        )
        lines.append(TextFormat(names=names).line(event, peer=f"peer-{index + 1}"))
    assert len({tuple(i for i, char in enumerate(line) if char == "|") for line in lines}) == 1, "\n".join(lines)


def test_columns_never_shrink_so_later_rounds_stay_aligned(text: TextFormat) -> None:
    wide = text.line(round_sealed(mean_return=-1203.4, best_return=-1100.9), peer="peer-3")
    narrow = text.line(round_sealed(mean_return=-90.1, best_return=-90.1), peer="peer-3")
    assert [i for i, c in enumerate(wide) if c == "|"] == [i for i, c in enumerate(narrow) if c == "|"]


def test_return_that_is_not_known_yet_is_a_dash(text: TextFormat) -> None:
    line = text.line(round_sealed(mean_return=math.nan, best_return=-math.inf), peer="peer-3")
    assert "| return     - (best -) " in line


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_every_event_has_a_sentence(text: TextFormat, kind: type[Event]) -> None:
    line = text.line(sample(kind), peer="peer-3")
    assert line.startswith("peer-3 | ")
    marked = line.removeprefix("peer-3 | ").startswith(("warning: ", "error: "))
    assert marked == (kind.level in ("warning", "error"))
    assert "  " not in line.removeprefix("peer-3 | ") or kind is round_events.RoundSealed
    assert line.isprintable()


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        (process_events.Listening(addresses=("/ip4/10.0.0.2/tcp/4001",)), "listening on /ip4/10.0.0.2/tcp/4001"),
        (process_events.LookingFor(targets=("dns peer",)), "looking for peers at dns peer"),
        (
            process_events.LookingFor(targets=()),
            "looking for nobody (network.dns, network.addresses and network.mdns are unset): waiting to be dialled",
        ),
        (
            process_events.Waiting(what="the payload of peer-4", since_s=5.04, round=12),
            "round 12: waiting for the payload of peer-4 since 5.0 s",
        ),
        (
            process_events.SealingAlone(connected=7, since_s=20.0, failures=3, cause="no answer within 10 s"),
            "warning: sealing alone for 20.0 s although connected to 7 peers: the last 3 exchanges with them failed"
            " (no answer within 10 s)",
        ),
        (
            process_events.SealingAlone(connected=1, since_s=20.0, failures=0, cause=""),
            "warning: sealing alone for 20.0 s although connected to 1 peer: they answer, but none takes part on the"
            " same chain yet",
        ),
        (
            process_events.RunningLate(late_s=4.04, longest_s=0.5, window_s=10.2),
            "warning: short of CPU time: the event loop was late for 4.0 s of the last 10.2 s, and answers with it;"
            " give this machine fewer peers or more cores, or raise round.train_s",
        ),
        (
            process_events.RunningLate(late_s=24.9, longest_s=24.7, window_s=30.9),
            "warning: stood still for 24.7 s: the process or its machine was paused, or got no CPU time; others may"
            " have given it up, and it catches up with them",
        ),
        (
            peer_events.DialFailed(
                address=f"{AT}/p2p/{ALICE}",
                remote=ALICE,
                cause=f"cannot reach {AT}/p2p/{ALICE}: connection refused",
                retry_s=2.0,
                failures=4,
            ),
            f"no answer from peer-1 at {AT}/p2p/{ALICE} in 4 tries: connection refused; trying on, next in 2.0 s",
        ),
        (
            peer_events.DialFailed(address=f"{AT}/p2p/{BOB}", remote=BOB, cause="timed out", retry_s=2.0, failures=4),
            f"no answer from {AT}/p2p/{BOB} in 4 tries: timed out; trying on, next in 2.0 s",
        ),
        (
            peer_events.DialFailed(address=AT, remote=None, cause="timed out", retry_s=2.0, failures=4),
            f"no answer from {AT} in 4 tries: timed out; trying on, next in 2.0 s",
        ),
        (
            peer_events.PeerStopped(remote=ALICE, peers=1),
            "peer-1 has stopped; 1 peer connected",
        ),
        (
            peer_events.PeerLeft(remote=ALICE, cause="connection reset", peers=1),
            "lost peer-1: connection reset; 1 peer connected",
        ),
        (
            peer_events.IdentityRunsTwice(
                remote=ALICE, boot=6, addresses=("/ip4/192.0.2.7/tcp/1",), other_boot=5, other_addresses=()
            ),
            "warning: "
            f"peer-1 ({ALICE}) runs twice: as boot 6 at /ip4/192.0.2.7/tcp/1, which is served, and as boot 5"
            " at an unknown address, which is turned away. Next step: stop one of them; or give each a storage.data_dir"
            " of its own, with no copied identity.key in it (`murmur identity new` makes another)",
        ),
        (
            peer_events.OwnIdentityRunsTwice(
                peer_id=ALICE, boot=5, other_boot=6, other_name="peer-3", addresses=("/a",), source=ALICE, leaves=True
            ),
            "error: "
            f"this identity ({ALICE}) runs twice: here as boot 5, and as boot 6 (peer-3) at /a, says peer-1."
            " That one is the newer, so this process takes no part any more and waits to be stopped. Next step: stop"
            " one of them; or give each a storage.data_dir of its own, with no copied identity.key in it (`murmur"
            " identity new` makes another)",
        ),
        (
            round_events.TaskMoved(round=4, task="long-pole", previous_owner=ALICE, new_owner=None, why="peer-1 left"),
            "round 4: task long-pole moved from peer-1 to nobody: peer-1 left",
        ),
        (
            peer_events.AllowListRefused(source=None, file="/srv/swarm.json", cause="it is damaged"),
            "warning: refused the allow-list in /srv/swarm.json: it is damaged",
        ),
        (
            peer_events.AllowListRefused(source=ALICE, file=None, cause="it is damaged"),
            "warning: refused an allow-list of peer-1: it is damaged",
        ),
        (
            peer_events.PeerRefused(remote=ALICE, host="192.0.2.9", reason="schema", detail="its model"),
            f"warning: refused peer-1 ({ALICE}, at 192.0.2.9): schema: its model",
        ),
        (
            peer_events.MessageRefused(remote=ALICE, reason="bad_signature", detail="header", count=3),
            "warning: refused a message of peer-1: bad_signature: header (3 times)",
        ),
        (
            process_events.RunFinished(
                reason="solved",
                rounds=41,
                peers=1,
                env_steps=6_900_000,
                wall_s=125.2,
                bytes_sent=2_400_000,
                bytes_received=900,
                mean_return=487.25,
                model=DIGEST,
                model_path="runs/slot-2/model.bin",
            ),
            "finished (solved): return 487.2 after 41 rounds (1 peer in the last), 6.9M env steps, 2 min 05 s;"
            " sent 2.4 MB, received 900 B; model 9f3ac2, saved to runs/slot-2/model.bin",
        ),
        (
            round_events.ModelDiffered(
                round=7, own=DIGEST, sealed=DIGEST, parts=("log_std", "statistics"), repairing=True, incidents=1
            ),
            "error: round 7: own model 9f3ac2 is not the sealed 9f3ac2 in log_std, statistics; a majority"
            " got the sealed one, so this peer takes a snapshot and replays from there (1 incident so far)",
        ),
        (
            round_events.ModelDiffered(
                round=7, own=DIGEST, sealed=DIGEST, parts=tuple("abcdef"), repairing=False, incidents=2
            ),
            "error: round 7: own model 9f3ac2 is not the sealed 9f3ac2 in a, b, c, d, 2 others; not"
            " followed unless a majority votes for it (2 incidents so far)",
        ),
    ],
)
def test_sentence_reads_well(text: TextFormat, event: Event, sentence: str) -> None:
    assert text.line(event, peer="peer-3") == f"peer-3 | {sentence}"


def test_text_of_strangers_can_neither_break_the_line_nor_the_terminal(text: TextFormat) -> None:
    detail = "x\npeer-9 | round 1\r\x1b[2J\x9b31m\u202eevil\u2028\x00\ud800"
    line = text.line(peer_events.MessageRefused(remote=ALICE, reason="bad", detail=detail), peer="peer-3")
    assert line.isprintable()
    assert "\\n" in line
    line.encode("utf-8")


def test_line_is_bounded(text: TextFormat) -> None:
    event = peer_events.PeerRefused(remote=ALICE, host=None, reason="version", detail="x" * 100_000)
    line = text.line(event, peer="peer-3")
    assert len(line) == MAX_LINE
    assert line.endswith("...")


def test_name_that_two_peers_use_is_made_unambiguous() -> None:
    names = NameBook()
    names.learn(ALICE, "peer-1")
    names.learn(BOB, "peer-1")
    assert {names.name_of(ALICE), names.name_of(BOB)} == {"peer-1~AAA111", "peer-1~Bob222"}
    names.forget(BOB)
    assert names.name_of(ALICE) == "peer-1"
    assert names.name_of(BOB) == "Bob222"


def test_hostile_names_are_cleaned() -> None:
    names = NameBook()
    names.learn(ALICE, "a\x1b[31m\n|" + "b" * 1000)
    assert names.name_of(ALICE) == "a31m" + "b" * 28
    names.learn(ALICE, "\n")
    assert names.name_of(ALICE) == "AAA111"
    assert names.name_of(PeerId("\x1b\n")) == "unknown"
