"""Allow-lists: what is signed is what is read, enough of the right keys, and the newer of two everywhere."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peer.admission.allow_list import (
    AllowListFile,
    Authority,
    Listed,
    open_allow_list,
    parse_allow_list,
    signed,
    signers_of,
    with_peer,
    without_peer,
)
from peer.errors import ProtocolError
from peer.network.identity import Identity
from peer.wire.limits import MAX_ALLOW_LIST_BYTES

CHIEF, DEPUTY, IMPOSTOR = (Identity.for_tests(number) for number in (50, 51, 52))
ALICE, BOB = (Identity.for_tests(number).peer_id for number in (1, 2))
ONE_OF_TWO = Authority(keys=(CHIEF.peer_id, DEPUTY.peer_id))
BOTH = Authority(keys=(CHIEF.peer_id, DEPUTY.peer_id), needed=2)
EMPTY = AllowListFile(run="cartpole", version=1)
LIST = with_peer(with_peer(EMPTY, Listed(BOB, "bob", "trainer")), Listed(ALICE, "alice"))


def test_a_list_signed_by_an_authority_names_who_may_take_part() -> None:
    opened = open_allow_list(signed(LIST, CHIEF).text(), ONE_OF_TWO, run="cartpole")
    assert opened.peers == {ALICE, BOB}
    assert opened.version == 1


@pytest.mark.parametrize(
    ("file", "authority", "said"),
    [
        (LIST, ONE_OF_TWO, "0 valid signatures"),
        (
            signed(LIST, IMPOSTOR),
            ONE_OF_TWO,
            rf"0 valid signatures .* \({IMPOSTOR.peer_id}, who signed it, is none of them",
        ),
        (signed(LIST, CHIEF), BOTH, "1 valid signatures"),
        (signed(signed(LIST, CHIEF), CHIEF), BOTH, "1 valid signatures"),  # twice is once
        (signed(msgspec.structs.replace(LIST, run="other"), CHIEF), ONE_OF_TWO, "for run other"),
    ],
)
def test_a_list_without_the_signatures_that_are_needed_is_refused(
    file: AllowListFile, authority: Authority, said: str
) -> None:
    with pytest.raises(ProtocolError, match=said):
        open_allow_list(file.text(), authority, run="cartpole")


def test_both_signatures_make_a_list_valid_where_two_are_needed() -> None:
    assert open_allow_list(signed(signed(LIST, CHIEF), DEPUTY).text(), BOTH, run="cartpole").peers == {ALICE, BOB}


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"run": "other"},
        {"peers": ()},
        {"peers": (Listed(ALICE, "alice"), Listed(BOB, "bob", "sealer"))},
        {"peers": (Listed(ALICE, "alicebob"), Listed(BOB, "", "trainer"))},
    ],
)
def test_a_signature_holds_for_nothing_but_what_was_signed(change: dict[str, object]) -> None:
    forged = msgspec.structs.replace(signed(LIST, CHIEF), **change)
    assert signers_of(forged, [CHIEF.peer_id]) == frozenset()


def test_a_change_makes_a_new_version_that_must_be_signed_again() -> None:
    changed = without_peer(signed(LIST, CHIEF), BOB)
    assert (changed.version, changed.signatures) == (2, ())
    assert [listed.peer for listed in changed.peers] == [ALICE]
    assert with_peer(changed, Listed(BOB)).version == 2  # nobody has it yet
    with pytest.raises(ValueError, match="is not on the list"):
        without_peer(changed, BOB)


def test_of_two_lists_the_higher_version_holds_and_of_equal_ones_the_same_everywhere() -> None:
    first = open_allow_list(signed(LIST, CHIEF).text(), ONE_OF_TWO, run="cartpole")
    second = open_allow_list(signed(without_peer(signed(LIST, CHIEF), BOB), CHIEF).text(), ONE_OF_TWO, run="cartpole")
    rival = open_allow_list(signed(with_peer(EMPTY, Listed(BOB)), CHIEF).text(), ONE_OF_TWO, run="cartpole")
    assert first.is_newer_than(None)
    assert second.is_newer_than(first)
    assert not first.is_newer_than(second)
    assert not first.is_newer_than(first)
    assert first.is_newer_than(rival) != rival.is_newer_than(first)


def test_other_signatures_of_the_same_list_make_it_no_newer() -> None:
    one = open_allow_list(signed(LIST, CHIEF).text(), ONE_OF_TWO, run="cartpole")
    other = open_allow_list(signed(LIST, DEPUTY).text(), ONE_OF_TWO, run="cartpole")
    assert not one.is_newer_than(other)
    assert not other.is_newer_than(one)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff" * 10, bytes(MAX_ALLOW_LIST_BYTES + 1), b'{"run":"a","version":0}',
     b'{"run":"a","version":1,"extra":1}', b"[" * 10_000,
     b'{"run":"a","version":1,"peers":[{"peer":"b"},{"peer":"a"}]}',
     b'{"run":"a","version":1,"peers":[{"peer":"b"},{"peer":"b"}]}'],
)  # fmt: skip
def test_what_is_no_list_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_allow_list(data)


def peers(count: int) -> list[dict[str, str]]:
    return [{"peer": f"{number:04}"} for number in range(count)]


def signatures(count: int, *, text: str = "0a" * 64) -> list[dict[str, str]]:
    return [{"authority": "a", "signature": text}] * count


@pytest.mark.parametrize(
    ("field", "last", "beyond"),
    [
        ("run", "r", ""),
        ("run", "r" * 48, "r" * 49),
        ("version", 1, 0),
        ("version", 2**53, 2**53 + 1),
        ("peers", peers(1024), peers(1025)),
        ("peers", [{"peer": "p" * 64}], [{"peer": "p" * 65}]),
        ("peers", [{"peer": "p"}], [{"peer": ""}]),
        ("peers", [{"peer": "p", "name": "n" * 32}], [{"peer": "p", "name": "n" * 33}]),
        ("peers", [{"peer": "p", "name": "A-z_0. 9"}], [{"peer": "p", "name": "a\tb"}]),
        ("peers", [{"peer": "p", "role": "r"}], [{"peer": "p", "role": "r\n"}]),
        ("signatures", signatures(16), signatures(17)),
        ("signatures", signatures(1), signatures(1, text="0a" * 63)),
        ("signatures", signatures(1), signatures(1, text="0A" * 64)),
        ("signatures", signatures(1), signatures(1, text="0a" * 64 + "\n")),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_list_is_read_up_to_its_bounds_and_refused_beyond(field: str, last: object, beyond: object) -> None:
    good = {"run": "a", "version": 1}
    parse_allow_list(msgspec.json.encode(good | {field: last}))
    with pytest.raises(ProtocolError, match="it is no allow-list"):
        parse_allow_list(msgspec.json.encode(good | {field: beyond}))


def test_a_list_is_read_up_to_its_bound_in_bytes_and_refused_beyond() -> None:
    text = LIST.text()
    largest = text + b" " * (MAX_ALLOW_LIST_BYTES - len(text))
    assert parse_allow_list(largest) == LIST
    with pytest.raises(ProtocolError, match="262145 bytes, at most 262144 are allowed"):
        parse_allow_list(largest + b" ")


@given(st.binary(max_size=400))
def test_no_bytes_end_in_anything_but_a_refusal(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        open_allow_list(data, ONE_OF_TWO, run="cartpole")


def test_peers_tell_by_the_policy_whether_they_believe_the_same_authorities() -> None:
    same = Authority(keys=(DEPUTY.peer_id, CHIEF.peer_id))
    assert ONE_OF_TWO.policy() == same.policy()
    assert (
        len({ONE_OF_TWO.policy(), BOTH.policy(), Authority().policy(), Authority(keys=(CHIEF.peer_id,)).policy()}) == 4
    )
