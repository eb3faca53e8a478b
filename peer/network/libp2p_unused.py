"""Keep the parts of py-libp2p that no peer uses out of the process: its top module imports every one of them.

QUIC, WebSocket, TLS certificates by ACME, mDNS and UPnP, with the libraries under them (aioquic, httpx, zeroconf and
more), cost a third of the import time and 20 MiB in every peer. In their place stand modules whose every name is an
empty class: enough to be imported and inherited from. Whoever makes an object of one gets an error that says why.
"""

import sys
from collections.abc import Collection, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

UNUSED = (
    "aioquic",
    "httpx",
    "zeroconf",
    "miniupnpc",
    "libp2p.transport.quic",
    "libp2p.transport.websocket",
    "libp2p.security.tls",
    "libp2p.discovery.mdns",
    "libp2p.discovery.rendezvous",
    "libp2p.discovery.upnp",
)


def leave_out_unused(*, keep: Collection[str] = ()) -> None:
    """Call before libp2p is first imported; later it has no effect on what is loaded. Twice is as good as once.

    keep: of UNUSED, what this process does use.
    """
    if not any(isinstance(finder, _StandInFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _StandInFinder(keep))


class _Unused:
    """Base of every stand-in class."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        name = f"{type(self).__module__}.{type(self).__name__}"
        raise RuntimeError(f"{name} was left out to save memory: take its package out of {__name__}.UNUSED")


class _StandIn(ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> type[_Unused]:
        if name.startswith("__"):
            raise AttributeError(name)  # the import system asks for what may be missing
        stand_in = type(name, (_Unused,), {"__module__": self.__name__})
        setattr(self, name, stand_in)  # the same class whenever it is asked for
        return stand_in


class _StandInFinder(MetaPathFinder, Loader):
    def __init__(self, keep: Collection[str]) -> None:
        self._left_out = [name for name in UNUSED if name not in keep]

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if any(fullname == name or fullname.startswith(f"{name}.") for name in self._left_out):
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run: the names appear as they are asked for."""
