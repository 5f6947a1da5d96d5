"""Which names and addresses are this machine's own."""

from __future__ import annotations

import ipaddress

LOCAL_NAMES = frozenset({"localhost", "ip6-localhost"})


def is_loopback(host: str) -> bool:
    """Whether a name or address, without brackets, is this machine's own."""
    try:
        return host in LOCAL_NAMES or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
