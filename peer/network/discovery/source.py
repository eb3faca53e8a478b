"""The seam for ways to find peers; one more way is one more file and one line where the node builds its sources."""

from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Protocol, runtime_checkable


class DiscoverySource(Protocol):
    """Somewhere that knows addresses of peers. What it says may be stale, wrong, or name ourselves: dialling tells."""

    @property
    def name(self) -> str:
        """What the log calls it: `dns peer:4001`."""

    async def addresses(self) -> list[str]:
        """Return the multiaddrs to try now, sorted, without duplicates, possibly none.

        Raises: TransportError with the cause when the source cannot be asked; the caller logs it and goes on.
        """


@runtime_checkable
class OpenSource(Protocol):
    """A source that holds something open: sockets, a thread."""

    async def aclose(self) -> None: ...


@asynccontextmanager
async def closing_sources(sources: Iterable[DiscoverySource]) -> AsyncIterator[None]:
    """Close those that hold something open when the block is left, however it is left."""
    try:
        yield
    finally:
        for source in sources:
            if isinstance(source, OpenSource):
                await source.aclose()


def without_own(addresses: Collection[str], own: Collection[str]) -> list[str]:
    """Drop our own addresses and duplicates, and sort, so that every peer's order is the same."""
    return sorted(set(addresses) - set(own))
