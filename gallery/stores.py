"""The stores by the scheme of their URL."""

from __future__ import annotations

from collections.abc import Callable

from gallery.errors import StoreUnavailable, UnknownStore
from gallery.sqlite import SQLiteStore
from gallery.store import Store


def _redis(url: str) -> Store:
    try:
        from gallery.redis_store import RedisStore
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise StoreUnavailable("The package redis is not installed: pip install 'gaitkeeper[redis]'.") from error
    return RedisStore(url)


STORES: dict[str, Callable[[str], Store]] = {
    "sqlite": SQLiteStore,
    "redis": _redis,
    "rediss": _redis,
    "redis+sentinel": _redis,
    "rediss+sentinel": _redis,
    "redis+cluster": _redis,
    "rediss+cluster": _redis,
}


def open_store(url: str) -> Store:
    """The store at a URL, made where it is new.

    ``sqlite:///relative.db`` or ``sqlite:////absolute.db``; ``redis://host:port/db`` and its kin, see
    :class:`gallery.redis_store.RedisStore`.

    Raises:
        UnknownStore: no kind of store goes by that URL.
        StoreUnavailable: it cannot be reached.
        StoreNotDurable: it may lose what it has acknowledged, and the URL does not accept that.
        BadStore: it is damaged, of something else, or of a newer version.
    """
    scheme = url.partition("://")[0]
    if scheme not in STORES:
        raise UnknownStore(f"{url!r} is no store; known are {', '.join(f'{s}://' for s in sorted(STORES))}.")
    return STORES[scheme](url)
