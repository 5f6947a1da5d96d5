"""Persistence of a Redis server: its durability, and the overwriting of erased data."""

from __future__ import annotations

import time
from typing import Any

import redis
from redis.exceptions import NoPermissionError, ResponseError

from gaitkeeper.gallery.errors import StoreNotDurable
from gaitkeeper.gallery.stores.redis.link import Link
from gaitkeeper.gallery.types import Promises

REWRITE_SECONDS = 10.0
WAITAOF_SINCE = (7, 2)


def promise(link: Link) -> Promises:
    """Check the settings of every server, and use WAITAOF from now on if all of them support it.

    Raises:
        StoreNotDurable: a server can lose acknowledged writes, and the URL does not set ``durability=any``.
        StoreUnavailable: Redis cannot be reached.
    """
    with link.direct():
        found = [_look(node) for node in link.nodes()]
    confirms = all(server.confirms for server in found)
    faults = [fault for server in found for fault in server.faults(confirms)]
    if link.address.replicas and not confirms:
        faults.append("Waiting for replicas needs Redis 7.2 or newer, with its append-only file on.")
    if faults and not link.address.any_durability:
        raise StoreNotDurable(
            f"The Redis at {link.address.url} can lose acknowledged enrolments. {' '.join(faults)} Change its settings,"
            " or accept that with `durability=any` in the store's URL."
        )
    link.confirms = confirms
    how = "once WAITAOF has confirmed that it is on disk" if confirms else "by a server that syncs every write first"
    remarks = faults or [f"Every enrolment is acknowledged {how}."]
    if link.address.kind != "server" and not link.address.replicas:
        remarks.append("A failover to a replica may lose the last enrolments; `replicas=1` in the URL waits for one.")
    return Promises(durable=not faults, encrypted=False, remarks=tuple(remarks))


class _Server:
    """Settings and state reported by one server."""

    def __init__(self, info: dict[str, Any], config: dict[Any, Any] | None, confirms: bool) -> None:
        self.info, self.config, self.confirms = info, config, confirms

    def faults(self, confirms: bool) -> list[str]:
        """Sentences that describe how an acknowledged enrolment can be lost."""
        out = []
        if not self.info["aof_enabled"]:
            out.append("Its append-only file is off (`appendonly yes` is needed): a restart loses all data.")
        elif not confirms and self.config is None:
            out.append("Its ACL forbids CONFIG, so `appendfsync` cannot be checked, and WAITAOF is not available.")
        elif not confirms and self.config is not None and self.config["appendfsync"] != "always":
            out.append(
                f"`appendfsync {self.config['appendfsync']}` loses the last second; `always` is needed, or Redis 7.2."
            )
        if self.info.get("maxmemory") and self.info["maxmemory_policy"] != "noeviction":
            out.append(
                f"`maxmemory-policy {self.info['maxmemory_policy']}` can delete enrolments; `noeviction` is needed."
            )
        return out


def _look(node: redis.Redis) -> _Server:
    info = node.info("server") | node.info("persistence") | node.info("memory")
    try:
        config = node.config_get("appendfsync")
    except NoPermissionError:
        config = None
    major, minor = str(info["redis_version"]).split(".")[:2]
    confirms = (int(major), int(minor)) >= WAITAOF_SINCE and bool(info["aof_enabled"])
    if confirms:
        try:
            node.execute_command("WAITAOF", 0, 0, 1)
        except NoPermissionError:
            confirms = False
    return _Server(info, config, confirms)


def rewrite(node: redis.Redis, seconds: float = REWRITE_SECONDS) -> bool:
    """Make a server rewrite its append-only file and its snapshot, so that they contain no erased data.

    Returns:
        True once both are done. False if the ACL forbids it, if it fails or takes longer than ``seconds``, or if
        replicas have their own files, which only they can rewrite.
    """
    deadline = time.monotonic() + seconds
    try:
        before = node.info("persistence")
        if before["aof_enabled"]:
            _start(node, "BGREWRITEAOF", deadline)
            running = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")
            _await(node, "aof_rewrites", before, running, "aof_last_bgrewrite_status", deadline)
        if before["rdb_saves"] or _saves(node):
            _start(node, "BGSAVE", deadline)
            _await(node, "rdb_saves", before, ("rdb_bgsave_in_progress",), "rdb_last_bgsave_status", deadline)
        return not node.info("replication")["connected_slaves"]
    except (redis.RedisError, TimeoutError):
        return False


def _saves(node: redis.Redis) -> bool:
    """Whether the server takes snapshots on its own. Then there may be one from before its start."""
    try:
        return bool(node.config_get("save")["save"])
    except NoPermissionError:
        return True


def _start(node: redis.Redis, command: str, deadline: float) -> None:
    while True:
        try:
            node.execute_command(command)
            return
        except NoPermissionError:
            raise
        except ResponseError as error:
            # A running rewrite may have started before the erasure, so another one is needed.
            if "progress" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _await(
    node: redis.Redis, counter: str, before: dict[str, Any], running: tuple[str, ...], status: str, deadline: float
) -> None:
    while time.monotonic() < deadline:
        now = node.info("persistence")
        if now[counter] > before[counter] and not any(now[name] for name in running):
            if now[status] == "ok":
                return
            break
        time.sleep(0.02)
    raise TimeoutError
