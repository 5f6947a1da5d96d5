"""Rules for the address on which the service listens."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from gaitkeeper.service.errors import BadSettings, NotLoopback
from gaitkeeper.service.settings import Settings


def require_loopback(host: str) -> None:
    """Check that ``host`` only resolves to loopback addresses.

    Raises:
        NotLoopback: other machines could reach the service, and it has no keys.
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
    """Open a listening socket.

    Args:
        host: a loopback address, or any address if ``published_on_loopback`` or ``keys``.
        port: port number; 0 chooses a free one.
        published_on_loopback: the container's port is published on loopback only, so other machines cannot reach it.
        keys: the service rejects callers without an API key.

    Raises:
        NotLoopback: as :func:`require_loopback`.
        BadSettings: the address cannot be used, for example because the port is in use.
    """
    if not published_on_loopback and not keys:
        require_loopback(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise BadSettings(f"{host} port {port} cannot be listened on: {error.strerror}.") from error


def url_of(door: socket.socket) -> str:
    """The URL of a listening socket, for clients on this machine."""
    host, port = door.getsockname()[:2]
    return f"http://[{host}]:{port}" if door.family == socket.AF_INET6 else f"http://{host}:{port}"


def socket_options(settings: Settings) -> dict[str, Any]:
    """WebSocket options of the server: a short receive queue, and no compression."""
    return {
        # Slightly more than the message limit, so that a message that is too large gets an error reply.
        "ws_max_size": settings.stream_message_bytes + 2**16,
        "ws_max_queue": 4,
        "ws_per_message_deflate": False,
    }
