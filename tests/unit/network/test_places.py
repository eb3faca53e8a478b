"""Who gives way when all connections are taken."""

from peer.network.places import GRACE_ALONE_S, GRACE_S, Stranger, first_to_go

NOW = 100.0


def strangers(*hosts_and_ages: tuple[str, float]) -> dict[int, Stranger]:
    return {n: Stranger(host=host, since=NOW - age) for n, (host, age) in enumerate(hosts_and_ages)}


def test_the_oldest_stranger_gives_way() -> None:
    assert first_to_go(strangers(("a", 13.0), ("b", 19.0), ("c", 15.0)), NOW) == 1


def test_a_host_with_many_identities_drives_away_no_other() -> None:
    assert first_to_go(strangers(("a", 9.0), ("b", 3.0), ("b", 5.0)), NOW) == 2


def test_a_newcomer_has_a_moment_to_be_admitted() -> None:
    assert first_to_go(strangers(("a", 0.5 * GRACE_S), ("a", 0.1 * GRACE_S)), NOW) is None


def test_who_comes_alone_from_its_host_has_longer() -> None:
    assert first_to_go(strangers(("a", 0.9 * GRACE_ALONE_S), ("b", 0.5 * GRACE_ALONE_S)), NOW) is None
    assert first_to_go(strangers(("a", 1.1 * GRACE_ALONE_S), ("b", 0.5 * GRACE_ALONE_S)), NOW) == 0


def test_where_nobody_is_a_stranger_nobody_gives_way() -> None:
    assert first_to_go({}, NOW) is None
