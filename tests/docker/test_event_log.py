"""The log reader itself, without an engine: a reader that overlooks a disagreement would make every test pass."""

import json

import pytest

from tests.docker import event_log


def final(number: int, model: str) -> dict[str, object]:
    return {"event": "round_final", "round": number, "model": model, "time": "2026-01-01T00:00:00.000Z"}


def test_parse_mixed_lines_keeps_only_events() -> None:
    text = "\n".join(["Traceback (most recent call last):", "7", '{"no": 1}', json.dumps(final(1, "aa")), ""])
    assert event_log.parse(text) == [final(1, "aa")]


def test_agreed_rounds_equal_models_lists_rounds_that_all_have() -> None:
    assert event_log.agreed_rounds([[final(1, "aa"), final(2, "bb")], [final(2, "bb"), final(3, "cc")]]) == [2]


def test_agreed_rounds_different_models_fails() -> None:
    with pytest.raises(AssertionError, match="round 2 is final with different models"):
        event_log.agreed_rounds([[final(1, "aa"), final(2, "bb")], [final(1, "aa"), final(2, "xx")]])


def test_agreed_rounds_disagreement_of_two_while_third_lags_fails() -> None:
    with pytest.raises(AssertionError, match="round 2"):
        event_log.agreed_rounds([[final(2, "bb")], [final(2, "xx")], [final(1, "aa")]])


def test_final_models_round_final_twice_with_different_models_fails() -> None:
    with pytest.raises(AssertionError, match="round 1 was final"):
        event_log.final_models([final(1, "aa"), final(1, "bb")])
