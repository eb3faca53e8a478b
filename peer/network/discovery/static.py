"""Discovery by a list of addresses in the configuration; any peer of it will do as the first contact."""

from collections.abc import Callable, Collection

import trio

from peer.addresses import parse_tcp_address
from peer.network.discovery.source import without_own


class StaticDiscovery:
    """The multiaddrs given. Raises: ValueError, naming the address, when one of them is malformed."""

    def __init__(self, addresses: Collection[str], *, own_addresses: Callable[[], Collection[str]]) -> None:
        self._addresses = [str(parse_tcp_address(address)) for address in addresses]
        self._own_addresses = own_addresses

    @property
    def name(self) -> str:
        count = len(without_own(self._addresses, self._own_addresses()))
        return "1 given address" if count == 1 else f"{count or 'no other'} given addresses"

    async def addresses(self) -> list[str]:
        await trio.lowlevel.checkpoint()
        return without_own(self._addresses, self._own_addresses())
