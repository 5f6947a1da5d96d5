"""Connection to a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from gaitkeeper.gallery.stores.open import store_file
from gaitkeeper.pipelines.errors import DeadlineExceeded
from gaitkeeper.service.auth.loopback import is_loopback
from gaitkeeper.service.errors import ClusterUnavailable, HostsUnavailable
from gaitkeeper.service.settings import Settings

if TYPE_CHECKING:
    from types import ModuleType

T = TypeVar("T")

LOCAL = "local"
STORE_BYTES = 512 * 2**20
"""Bytes of shared memory for data between the processes of a local cluster."""
TRIES = 6

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
PATIENT = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60", "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60"}
"""Environment that makes Ray Serve wait for its web server on a busy machine, in place of ending it after 5 seconds."""
NO_SPILLING = {"automatic_object_spilling_enabled": False}
"""Options of a head: clips are never spilt to disk, where they would stay; if memory is short, work waits."""
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Environment that makes Ray use only 127.0.0.1."""


def prepare(address: str) -> None:
    """Set the environment variables that Ray reads at its first import.

    Args:
        address: as for :func:`joined`.
    """
    os.environ.update(QUIET | PATIENT | (LOOPBACK if address == LOCAL else {}))


@contextmanager
def joined(address: str, settings: Settings) -> Iterator[ModuleType]:
    """Context manager: Ray, connected to a cluster.

    Args:
        address: address of a cluster; ``auto`` for the cluster of this host; ``local`` for a new one on this machine,
            which only listens on loopback and ends with the block.
        settings: settings with the store that the cluster should use.

    Raises:
        ClusterUnavailable: Ray is not installed, there is no cluster, or its hosts cannot share the store.
    """
    prepare(address)
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ClusterUnavailable("Ray is not installed: pip install 'gaitkeeper-id[ray]'.") from error
    options: dict[str, Any] = {
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_node_ip_address": "127.0.0.1",
        "_system_config": NO_SPILLING,
    }
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    _called(address)
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
            raise ClusterUnavailable("Ray was imported before it was limited to loopback.")
        hosts = sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]
        if hosts > 1 and store_file(settings.store) is not None:
            raise ClusterUnavailable(
                f"{hosts} hosts cannot share an SQLite file: set GAITKEEPER_STORE to a Redis on every one of them."
            )
        yield ray
    finally:
        ray.shutdown()


def _called(address: str) -> None:
    """Check that a server listens at the address. Ray itself would wait many minutes.

    Raises:
        ClusterUnavailable: no server listens there.
    """
    if address in (LOCAL, "auto") or "://" in address:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ClusterUnavailable(f"There is no Ray cluster at {address!r}: {error}.") from error


def persistently(do: Callable[[], T], deadline: float | None = None) -> T:
    """Run ``do``, and repeat it if a host is lost. It must be safe to repeat.

    Args:
        do: function that calls another process.
        deadline: time of ``time.monotonic`` at which to give up.

    Raises:
        DeadlineExceeded: the work took longer.
        HostsUnavailable: hosts were lost repeatedly.
    """
    from ray.exceptions import GetTimeoutError, RayError, RayTaskError

    for attempt in range(TRIES):
        try:
            return do()
        except (TimeoutError, GetTimeoutError) as error:
            raise DeadlineExceeded("The request was not processed within the time limit.") from error
        except RayTaskError as error:
            raise getattr(error, "cause", error) from None
        except RayError as error:
            lost = error
            pause = 0.2 * 2**attempt
            if deadline is not None and time.monotonic() + pause > deadline:
                break
            time.sleep(pause)
    raise HostsUnavailable(f"The hosts that processed this were lost: {type(lost).__name__}.") from lost


def seconds_left(deadline: float | None) -> float | None:
    """Seconds until a time of ``time.monotonic``, at least 0. The clock's values are not valid on other hosts."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())
