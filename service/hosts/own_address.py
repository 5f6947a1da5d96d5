"""Replicas that listen on their host's own address in the cluster alone."""

from __future__ import annotations

from typing import Any

import ray
from ray.serve._private import replica

from service.errors import ClusterUnavailable

_CALL = "add_port_to_grpc_server"


def keep_to_own_address() -> None:
    """Have the replica of this process listen where others of the cluster call it, which is loopback for `local`.

    A replica takes calls, which are pickles, on every address of its host, and Ray Serve has no setting for that (2.60,
    ``ray/serve/_private/replica.py``).

    Raises:
        ClusterUnavailable: this version of Ray does it in another way.
    """
    theirs = getattr(replica, _CALL, None)
    if theirs is None:
        raise ClusterUnavailable("This Ray Serve listens on every address: install the version of constraints.txt.")

    def bound(server: Any, address: str) -> int:
        own: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        port: int = theirs(server, address.replace("[::]", f"[{own}]" if ":" in own else own))
        return port

    if not getattr(theirs, "bound", False):
        bound.bound = True  # type: ignore[attr-defined]
        setattr(replica, _CALL, bound)
