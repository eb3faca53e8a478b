"""A bounded number of handshakes, of which a host that has many gives up its oldest ones."""

from contextlib import ExitStack

import trio
import trio.testing

from peer.network.handshakes import Handshakes


async def test_they_are_counted_while_under_way() -> None:
    handshakes = Handshakes(most=4)
    with handshakes.under_way("192.0.2.1"), handshakes.under_way("192.0.2.1"):
        assert len(handshakes) == 2
    assert len(handshakes) == 0


async def begun(hosts: list[str], *, most: int) -> list[bool]:
    """Return which of the handshakes, begun in this order, are still under way when all have begun."""
    handshakes = Handshakes(most=most)
    with ExitStack() as stack:
        scopes = [stack.enter_context(handshakes.under_way(host)) for host in hosts]
        assert len(handshakes) <= most
        await trio.lowlevel.cancel_shielded_checkpoint()
        return [not scope.cancel_called for scope in scopes]


async def test_the_host_that_has_the_most_loses_its_oldest() -> None:
    assert await begun(["a", "b", "b", "b", "b", "c"], most=4) == [True, False, False, True, True, True]


async def test_among_equals_the_oldest_of_all_goes() -> None:
    assert await begun(["a", "b", "c", "d"], most=3) == [False, True, True, True]


async def test_addresses_of_one_network_of_ipv6_are_one_host() -> None:
    hosts = ["192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8::3"]
    assert await begun(hosts, most=3) == [True, False, True, True]


async def test_what_makes_room_ends_and_is_not_counted_any_more() -> None:
    handshakes = Handshakes(most=1)
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with handshakes.under_way("a") as scope:
                await trio.sleep_forever()
            assert scope.cancelled_caught

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        with handshakes.under_way("b"):
            await trio.testing.wait_all_tasks_blocked()
            assert not nursery.child_tasks
            assert len(handshakes) == 1
