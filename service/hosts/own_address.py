"""Makes replicas listen only on their host's own address in the cluster."""

from __future__ import annotations

from typing import Any

import ray
from ray.serve._private import replica

from gaitkeeper.service.errors import ClusterUnavailable

_CALL = "add_port_to_grpc_server"


def keep_to_own_address() -> None:
    """Make the replica of this process listen only on the address that the cluster uses for it; loopback for `local`.

    By default a replica accepts calls, which are pickles, on all addresses of its host, and Ray Serve has no setting
    for that (2.60, ``ray/serve/_private/replica.py``).

    Raises:
        ClusterUnavailable: this version of Ray works differently.
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
