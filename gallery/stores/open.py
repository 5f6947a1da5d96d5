"""The stores by the scheme of their URL."""

from __future__ import annotations

from collections.abc import Callable

from gallery.errors import StoreUnavailable, UnknownStore
from gallery.stores.encryption import Vault
from gallery.stores.protocol import Store
from gallery.stores.sqlite.store import SQLiteStore


def _redis(url: str, vault: Vault | None) -> Store:
    try:
        from gallery.stores.redis.store import RedisStore
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise StoreUnavailable("The package redis is not installed: pip install 'gaitkeeper-id[redis]'.") from error
    return RedisStore(url, vault)


STORES: dict[str, Callable[[str, Vault | None], Store]] = {
    "sqlite": SQLiteStore,
    "redis": _redis,
    "rediss": _redis,
    "redis+sentinel": _redis,
    "rediss+sentinel": _redis,
    "redis+cluster": _redis,
    "rediss+cluster": _redis,
}


def open_store(url: str, vault: Vault | None = None) -> Store:
    """The store at a URL, made where it is new.

    ``sqlite:///relative.db`` or ``sqlite:////absolute.db``; ``redis://host:port/db`` and its kin, see
    :class:`gallery.stores.redis.store.RedisStore`.

    Args:
        url: where it is.
        vault: the keys by which its embeddings and sequences are encrypted; None where they are not.

    Raises:
        UnknownStore: no kind of store goes by that URL.
        StoreUnavailable: it cannot be reached.
        StoreNotDurable: it may lose what it has acknowledged, and the URL does not accept that.
        BadStoreKey: it is encrypted and the key is missing or another one.
        BadStore: it is damaged, of something else, or of a newer version.
    """
    scheme = url.partition("://")[0]
    if scheme not in STORES:
        raise UnknownStore(f"{url!r} is no store; known are {', '.join(f'{s}://' for s in sorted(STORES))}.")
    return STORES[scheme](url, vault)
