"""Connections to Redis: one server, one found by Sentinel, or a cluster. Runs scripts, durably on request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import parse_url
from redis.exceptions import MovedError, RedisError, ResponseError
from redis.retry import Retry
from redis.sentinel import Sentinel

from gaitkeeper.gallery.errors import BadStore, StoreUnavailable, UnknownStore
from gaitkeeper.gallery.stores.redis import scripts

CONNECT_SECONDS = 2.0
REPLY_SECONDS = 15.0
DISK_SECONDS = 10.0
"""Timeout of WAITAOF; below REPLY_SECONDS, so that Redis itself reports the timeout."""


@dataclass(frozen=True)
class Address:
    """Parsed Redis URL.

    Attributes:
        url: the URL without user, password and parameters, safe to print.
        kind: "server", "sentinel" or "cluster".
        hosts: host and port of each server, Sentinel or cluster node in the URL.
        master: name of the server in Sentinel.
        any_durability: True to accept a server that can lose acknowledged writes.
        replicas: number of replicas that must also have an enrolment on disk before it is acknowledged.
        options: options for redis-py's connections.
    """

    url: str
    kind: str
    hosts: tuple[tuple[str, int], ...]
    master: str
    any_durability: bool
    replicas: int
    options: dict[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Parse ``redis://``, ``rediss://`` (TLS), ``redis+sentinel://HOSTS/MASTER/DB`` or ``redis+cluster://HOSTS``.

        Raises:
            UnknownStore: the URL has another scheme, or a parameter has an invalid value.
        """
        parts = urlsplit(url)
        scheme, _, kind = parts.scheme.partition("+")
        user, _, hosts = parts.netloc.rpartition("@")
        shown = f"{parts.scheme}://{hosts}{parts.path}"
        query = dict(parse_qsl(parts.query))
        durability, replicas = query.pop("durability", "strict"), query.pop("replicas", "0")
        path = parts.path.strip("/").split("/") if parts.path.strip("/") else []
        master = path.pop(0) if kind == "sentinel" and path else ""
        try:
            if (
                scheme not in ("redis", "rediss")
                or kind not in ("", "sentinel", "cluster")
                or durability not in ("strict", "any")
                or (kind == "sentinel") != bool(master)
            ):
                raise ValueError
            if len(path) > (kind != "cluster"):
                raise ValueError
            named = tuple(_host(host, 26379 if kind == "sentinel" else 6379) for host in hosts.split(","))
            options = parse_url(f"{scheme}://localhost/{int(path[0]) if path else 0}?{urlencode(query)}")
            name, _, password = user.partition(":")
            options |= {"username": unquote(name) or None, "password": unquote(password) or None}
            return cls(shown, kind or "server", named, master, durability == "any", int(replicas), dict(options))
        except (ValueError, TypeError):
            raise UnknownStore(
                f"{shown!r} is not the URL of a Redis: redis://HOST:PORT/DB, redis+sentinel://HOST:PORT,…/MASTER/DB or"
                " redis+cluster://HOST:PORT,… expected, with the optional parameters durability=any and replicas=N."
            ) from None


class Link:
    """Runs scripts on the Redis at a URL. Thread-safe.

    After a broken connection, the next call reconnects to the server that is master by then.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.confirms = False  # whether to call WAITAOF after each write
        self._closed = False
        self._cluster: RedisCluster | None = None
        self._server: redis.Redis | None = None
        options = address.options | {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": REPLY_SECONDS,
            "retry": Retry(ExponentialBackoff(cap=0.1, base=0.01), 1),
        }
        for name in ("connection_class", "host"):
            options.pop(name, None)
        if address.url.startswith("rediss"):
            options["ssl"] = True
        if address.kind == "cluster":
            options.pop("db", None)
            self._options = options
        elif address.kind == "sentinel":
            plain = {k: v for k, v in options.items() if k not in ("username", "password", "db")}
            self._server = Sentinel(list(address.hosts), sentinel_kwargs=plain, **options).master_for(address.master)
        else:
            ((host, port),) = address.hosts
            self._server = redis.Redis(host=host, port=port, **options)

    def call(self, base: str, script: str, /, *, durable: bool = False, **arguments: Any) -> list[Any]:
        """Run a script with ``base`` as its key, on the node that owns the key.

        Args:
            base: the key, with the hash tag of all keys that the script uses.
            script: name of the script; see :mod:`gaitkeeper.gallery.stores.redis.scripts`.
            durable: return only after its writes are on disk.
            arguments: the script's arguments by name.

        Raises:
            StoreUnavailable: Redis cannot be reached, rejects writes, or did not confirm in time.
            BadStore: the store's keys contain another kind of data.
        """
        loaded = scripts.load(script)
        call = (loaded.source, 1, base, *loaded.values(arguments))
        with self._translated():
            for attempt in range(4):
                try:
                    return self._call(self.node(base), call, durable)
                except (MovedError, redis.ConnectionError) as error:
                    # In a cluster, a slot may have moved, or another node may have taken over after a failure.
                    last = attempt == (3 if isinstance(error, MovedError) else 1)
                    if self._cluster is None or last:
                        raise
                    self._cluster.nodes_manager.initialize()
        raise AssertionError("unreachable")

    def _call(self, node: redis.Redis, call: tuple[Any, ...], durable: bool) -> list[Any]:
        if not (durable and self.confirms):
            return list(node.eval(*call))
        wanted = self.address.replicas
        # Use one connection for both: WAITAOF only covers writes of its own connection.
        with node.pipeline(transaction=False) as both:
            both.eval(*call)
            both.execute_command("WAITAOF", 1, wanted, int(1000 * DISK_SECONDS))
            reply, (here, there) = both.execute()
        if here < 1 or there < wanted:
            raise StoreUnavailable(
                f"The Redis at {self.address.url} could not confirm within {DISK_SECONDS:g} s that the write is on disk"
                f" ({here} of 1 there, {there} of {wanted} replica(s)); it may still be stored."
            )
        return list(reply)

    def node(self, base: str) -> redis.Redis:
        """The server that owns a key."""
        if self._closed:
            raise StoreUnavailable(f"The gallery at {self.address.url} is closed.")
        if self._server is not None:
            return self._server
        cluster = self._nodes()
        return cluster.get_redis_connection(cluster.get_node_from_key(base))

    def nodes(self) -> list[redis.Redis]:
        """All servers that accept writes."""
        if self._server is not None:
            return [self._server]
        cluster = self._nodes()
        return [cluster.get_redis_connection(node) for node in cluster.get_primaries()]

    def _nodes(self) -> RedisCluster:
        if self._cluster is None:
            named = [ClusterNode(host, port) for host, port in self.address.hosts]
            self._cluster = RedisCluster(startup_nodes=named, **self._options)
        return self._cluster

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Context manager that converts Redis errors to those of the gallery."""
        try:
            yield
        except ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                raise BadStore(
                    f"The Redis at {self.address.url} has data of another kind under Gaitkeeper's keys: {error}."
                ) from error
            raise StoreUnavailable(f"The Redis at {self.address.url} refused: {error}") from error
        except RedisError as error:
            raise StoreUnavailable(f"The Redis at {self.address.url} cannot be used now: {error}") from error

    @contextmanager
    def direct(self) -> Iterator[None]:
        """Context manager for direct commands to :meth:`node` or :meth:`nodes`. It raises the errors of
        :meth:`call`.
        """
        with self._translated():
            yield

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        for client in (self._server, self._cluster):
            if client is not None:
                client.close()


def _host(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError
    return parts.hostname, parts.port or port
