"""Loopback names and addresses."""

from __future__ import annotations

import ipaddress

LOCAL_NAMES = frozenset({"localhost", "ip6-localhost"})


def is_loopback(host: str) -> bool:
    """Whether a host name or IP address (without brackets) is a loopback one."""
    try:
        return host in LOCAL_NAMES or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
