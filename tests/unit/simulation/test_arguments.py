"""Scenarios as text: what is understood, what is refused and how, and the line that replays a run."""

import shlex
from dataclasses import replace

import pytest

from peer.simulation.arguments import command, parse_byzantine, parse_duration, parse_partition
from peer.simulation.scenario import Attackers, Partition, Scenario


@pytest.mark.parametrize(
    ("text", "seconds"), [("80ms", 0.08), ("1.5s", 1.5), ("2min", 120.0), ("3", 3.0), (" .5s ", 0.5), ("0", 0.0)]
)
def test_duration_with_a_unit_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text, "--latency") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "ms", "80mm", "-1s", "1,5s", "nan", "1s2s"])
def test_duration_that_is_none_names_option_and_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"--latency: expected a duration such as 80ms"):
        parse_duration(text, "--latency")


def test_byzantine_misspelt_kind_names_the_nearest() -> None:
    assert parse_byzantine("0.2:sign_flip") == Attackers(share=0.2, kind="sign_flip")
    with pytest.raises(ValueError, match=r"did you mean sign_flip\?"):
        parse_byzantine("0.2:sing_flip")
    for text in ("sign_flip", "x:nan", "1.5:nan", "-0.1:nan", "0.2"):
        with pytest.raises(ValueError, match=r"SHARE:KIND such as 0.2:sign_flip, the share below 1, got"):
            parse_byzantine(text)


def test_partition_of_two_and_three_groups_is_read() -> None:
    assert parse_partition("20s-40s:0.5") == Partition(start_s=20.0, end_s=40.0, shares=(0.5,))
    assert parse_partition("500ms-1min:0.3/0.3") == Partition(start_s=0.5, end_s=60.0, shares=(0.3, 0.3))
    for text in ("20s:0.5", "40s-20s:0.5", "20s-40s", "20s-40s:1.5", "20s-40s:0.7/0.7", "a-b:c"):
        with pytest.raises(
            ValueError, match=r"FROM-TO:SHARE such as .*, FROM before TO and shares below 1 that come to 1 at most, got"
        ):
            parse_partition(text)


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"peers": 0}, "--peers"), ({"rounds": 0}, "--rounds"), ({"loss": 1.5}, "--loss"), ({"loss": -0.1}, "--loss"),
        ({"latency_s": 4.5}, "--latency"), ({"jitter": 9.0}, "--jitter"), ({"churn": -1.0}, "--churn"),
        ({"num_params": 0}, "--params"), ({"loss": float("nan")}, "--loss"),
        ({"byzantine": (Attackers(share=0.95, kind="nan"),)}, "--byzantine"),
        ({"peers": 1, "byzantine": (Attackers(share=0.1, kind="nan"),)}, "--byzantine"),
        ({"seed": -1}, "--seed"), ({"seed": 2**63}, "--seed"),
    ],
)  # fmt: skip
def test_scenario_out_of_range_names_the_option(changes: dict[str, object], option: str) -> None:
    with pytest.raises(ValueError, match=f"^{option}: expected"):
        replace(Scenario(), **changes)  # type: ignore[arg-type]  # any of the fields


def test_command_of_a_scenario_says_all_that_differs_from_the_defaults() -> None:
    scenario = Scenario(
        peers=9, rounds=7, seed=3, loss=0.05, latency_s=0.08, churn=0.1,
        byzantine=(parse_byzantine("0.2:nan"),), partitions=(parse_partition("5s-9s:0.5"),),
    )  # fmt: skip
    assert shlex.split(command(scenario)) == shlex.split(
        "murmur simulate --peers 9 --rounds 7 --loss 0.05 --latency 80ms --churn 0.1 --byzantine 0.2:nan"
        " --partition 5s-9s:0.5 --seed 3"
    )
    assert command(Scenario()) == "murmur simulate --peers 8 --rounds 20 --seed 1"


def test_attackers_are_the_highest_numbers() -> None:
    scenario = Scenario(peers=8, byzantine=(parse_byzantine("0.25:nan"), parse_byzantine("0.1:noise")))
    assert scenario.attackers == ((7, "nan"), (6, "nan"), (5, "noise"))
    assert Scenario(peers=8, byzantine=(parse_byzantine("0:nan"),)).attackers == ()


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        (("0.01:nan", "0.5:noise"), "expected shares that come to a peer at least, got 0.01:nan of 4 peers"),
        (("0.9:nan",), "expected to leave an honest peer, got 4 liars of 4 peers"),
        (("0.5:nan", "0.5:noise"), "expected at most 90% liars in all, got 100%"),
    ],
)
def test_liars_that_are_nobody_or_everybody_are_refused(shares: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=f"^--byzantine: {message}$"):
        Scenario(peers=4, byzantine=tuple(map(parse_byzantine, shares)))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 0.123456789, 1e-5, 2 / 13])
def test_command_of_a_scenario_loses_no_digit(value: float) -> None:
    cut = Partition(start_s=value, end_s=10 + value, shares=(value,))
    group = Attackers(share=0.5 + value / 10, kind="nan")
    said = shlex.split(command(Scenario(loss=value, latency_s=value, byzantine=(group,), partitions=(cut,))))
    read = {option: said[said.index(option) + 1] for option in ("--loss", "--latency", "--byzantine", "--partition")}
    assert float(read["--loss"]) == parse_duration(read["--latency"], "--latency") == value
    assert parse_byzantine(read["--byzantine"]) == group
    assert parse_partition(read["--partition"]) == cut
