"""Opens a store by the scheme of its URL."""

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
    """Open the store at a URL, and create it if it does not exist.

    ``sqlite:///relative.db`` or ``sqlite:////absolute.db``; ``redis://host:port/db`` and its variants, see
    :class:`gallery.stores.redis.store.RedisStore`.

    Args:
        url: URL of the store.
        vault: keys that encrypt embeddings and sequences; None for no encryption.

    Raises:
        UnknownStore: no kind of store has this URL scheme.
        StoreUnavailable: the store cannot be reached.
        StoreNotDurable: the store can lose acknowledged writes, and the URL does not accept that.
        BadStoreKey: the store is encrypted, and the key is missing or wrong.
        BadStore: the store is damaged, belongs to another program, or has a newer version.
    """
    scheme = url.partition("://")[0]
    if scheme not in STORES:
        raise UnknownStore(f"{url!r} is no store; known are {', '.join(f'{s}://' for s in sorted(STORES))}.")
    return STORES[scheme](url, vault)
