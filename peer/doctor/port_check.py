"""Check of our port: whether a peer could listen there, or one of ours does already."""

import errno
import ipaddress
import socket
from collections.abc import AsyncIterator

import trio

from peer.config.schema import Config
from peer.doctor.finding import Finding
from peer.doctor.reachability_checks import running_here
from peer.settings import listen_family

_REMEDIES = {
    errno.EADDRINUSE: "another program, or a peer with another data folder, has it: take another network.port",
    errno.EADDRNOTAVAIL: "set network.listen_host to an address of this machine; 0.0.0.0 is all of its addresses",
    errno.EACCES: "ports below 1024 need privileges: take a higher network.port",
}


async def check_port(config: Config) -> AsyncIterator[Finding]:
    """Try to listen where a peer would."""
    network = config.network
    place = f"{network.listen_host} port {network.port or '(any)'}"
    with trio.socket.socket(listen_family(config), socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            await listener.bind((network.listen_host, network.port))
            listener.listen(1)
        except OSError as error:
            holder = await trio.to_thread.run_sync(_holder_of_port, config)
            if holder is not None:
                yield Finding(verdict="ok", subject="port", text=f"{place} is {holder}'s, which runs here")
                return
            text = f"cannot listen on {place}: {(error.strerror or str(error)).lower()}"
            step = _REMEDIES.get(error.errno or 0, "set another network.listen_host or network.port")
            yield Finding(verdict="fail", subject="port", text=text, next_step=step)
            return
    if ipaddress.ip_address(network.listen_host).is_loopback:
        text = f"{place} is free, but only this machine can reach it"
        yield Finding(
            verdict="warn", subject="port", text=text, next_step="for other machines: network.listen_host=0.0.0.0"
        )
    else:
        yield Finding(verdict="ok", subject="port", text=f"{place} is free")


def _holder_of_port(config: Config) -> str | None:
    """Return the name of the peer of this data folder that listens on our port."""
    port = f"/tcp/{config.network.port}"
    held = (status for status in running_here(config) if any(each.endswith(port) for each in status.addresses))
    return next((status.name for status in held), None)
