"""Who gives way when all connections are taken."""

from peer.network.places import Stranger, first_to_go

NOW = 100.0


def strangers(*hosts_and_ages: tuple[str, float]) -> dict[int, Stranger]:
    return {n: Stranger(host=host, since=NOW - age) for n, (host, age) in enumerate(hosts_and_ages)}


def test_the_oldest_stranger_gives_way() -> None:
    assert first_to_go(strangers(("a", 13.0), ("b", 19.0), ("c", 15.0)), NOW) == 1


def test_a_host_with_many_identities_drives_away_no_other() -> None:
    assert first_to_go(strangers(("a", 9.0), ("b", 3.0), ("b", 5.0)), NOW) == 2


def test_a_newcomer_has_half_a_second_to_be_admitted() -> None:
    assert first_to_go(strangers(("a", 0.49), ("a", 0.1)), NOW) is None
    assert first_to_go(strangers(("a", 0.5), ("a", 0.1)), NOW) == 0


def test_who_comes_alone_from_its_host_has_five_seconds() -> None:
    assert first_to_go(strangers(("a", 4.9), ("b", 4.8)), NOW) is None
    assert first_to_go(strangers(("a", 5.0), ("b", 4.8)), NOW) == 0


def test_where_nobody_is_a_stranger_nobody_gives_way() -> None:
    assert first_to_go({}, NOW) is None
