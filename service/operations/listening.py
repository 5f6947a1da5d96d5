"""Where the service may listen."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from service.errors import BadSettings, NotLoopback
from service.settings import Settings


def require_loopback(host: str) -> None:
    """Pass where every address behind ``host`` is a loopback address.

    Raises:
        NotLoopback: other machines could reach the service, and it has no keys to keep them out.
        BadSettings: the host has no address.
    """
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)} if host else {"0.0.0.0"}  # noqa: S104
    except OSError as error:
        raise BadSettings(f"The host {host!r} has no address: {error.strerror}.") from error
    open_to = sorted(a for a in addresses if not ipaddress.ip_address(a.partition("%")[0]).is_loopback)
    if open_to:
        raise NotLoopback(
            f"Listening on {host!r} would let other machines in ({', '.join(open_to)}), and this service has no keys: "
            "make one by `gaitkeeper keys create`, or use 127.0.0.1."
        )


def listen(host: str, port: int, *, published_on_loopback: bool = False, keys: bool = False) -> socket.socket:
    """A listening socket.

    Args:
        host: a loopback address, or any where ``published_on_loopback`` or ``keys``.
        port: 0 takes a free one.
        published_on_loopback: whoever started this container sees to it that only their own machine gets in.
        keys: the service lets in nobody without an API key.

    Raises:
        NotLoopback: as :func:`require_loopback`.
        BadSettings: the address cannot be had, as where another program holds the port.
    """
    if not published_on_loopback and not keys:
        require_loopback(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise BadSettings(f"{host} port {port} cannot be listened on: {error.strerror}.") from error


def url_of(door: socket.socket) -> str:
    """The address of a listening socket, for clients on this machine."""
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}" if door.family == socket.AF_INET6 else f"http://{host}:{port}"


def socket_options(settings: Settings) -> dict[str, Any]:
    """What the server is told about WebSockets: little is read ahead, and nothing unpacked that would be larger."""
    return {
        # A little more than a message may have, so that one that is too large is told so.
        "ws_max_size": settings.stream_message_bytes + 2**16,
        "ws_max_queue": 4,
        "ws_per_message_deflate": False,
    }
