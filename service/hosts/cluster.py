"""On and off a Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from service.errors import ClusterUnavailable
from service.loopback import is_loopback
from service.settings import Settings

if TYPE_CHECKING:
    from types import ModuleType

LOCAL = "local"
STORE_BYTES = 512 * 2**20
"""Of shared memory, for what processes of a cluster of this machine alone hand to each other."""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
NO_SPILLING = {"automatic_object_spilling_enabled": False}
"""Of a head: clips are never written to a disk that nobody wipes; where memory is short, work waits."""
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""By which Ray binds and names 127.0.0.1 alone."""


def prepare(address: str) -> None:
    """Set what Ray reads when it is first imported.

    Args:
        address: as of :func:`joined`.
    """
    os.environ.update(QUIET | (LOOPBACK if address == LOCAL else {}))


@contextmanager
def joined(address: str, settings: Settings) -> Iterator[ModuleType]:
    """Ray, connected for a block.

    Args:
        address: of a cluster, ``auto`` for the one that this host belongs to, or ``local`` for one of this machine's
            own, which listens on loopback alone and ends with the block.
        settings: whose store the cluster is to work on.

    Raises:
        ClusterUnavailable: Ray is not installed, or no cluster is there, or its hosts cannot share the store.
    """
    prepare(address)
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ClusterUnavailable("Ray is not installed: pip install 'gaitkeeper[ray]'.") from error
    options: dict[str, Any] = {
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_node_ip_address": "127.0.0.1",
        "_system_config": NO_SPILLING,
    }
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        ray.init(
            address,
            namespace="gaitkeeper",
            log_to_driver=False,
            configure_logging=False,
            **(options if address == LOCAL else {}),
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterUnavailable(f"There is no Ray cluster at {address!r}: {error}.") from error
    try:
        if address == LOCAL and not is_loopback(ray.util.get_node_ip_address()):  # type: ignore[no-untyped-call]
            raise ClusterUnavailable("Ray was imported before it was told to keep to loopback.")
        hosts = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
        if hosts > 1 and settings.store.startswith("sqlite:"):
            raise ClusterUnavailable(
                f"{hosts} hosts cannot share an SQLite file: set GAITKEEPER_STORE to a Redis on every one of them."
            )
        yield ray
    finally:
        ray.shutdown()
