"""The kinds of store, by the scheme of their URLs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from gaitkeeper.gallery.errors import StoreUnavailable, UnknownStore
from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.protocol import Store
from gaitkeeper.gallery.stores.sqlite.file import file_of
from gaitkeeper.gallery.stores.sqlite.store import SQLiteStore


@dataclass(frozen=True)
class Kind:
    """A kind of store.

    Attributes:
        open: opens the store at a URL, with encryption keys or None.
        file: gives the file of a URL, if such a store is a file on this machine. None for a server, which several
            hosts can share, and whose URL can contain a user and a password.
    """

    open: Callable[[str, Vault | None], Store]
    file: Callable[[str], Path] | None = None


def _redis(url: str, vault: Vault | None) -> Store:
    try:
        from gaitkeeper.gallery.stores.redis.store import RedisStore
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise StoreUnavailable("The package redis is not installed: pip install 'gaitkeeper-id[redis]'.") from error
    return RedisStore(url, vault)


REDIS = Kind(_redis)
STORES: dict[str, Kind] = {
    "sqlite": Kind(SQLiteStore, file_of),
    "redis": REDIS,
    "rediss": REDIS,
    "redis+sentinel": REDIS,
    "rediss+sentinel": REDIS,
    "redis+cluster": REDIS,
    "rediss+cluster": REDIS,
}
"""Kind of store by URL scheme. Nothing else in Gaitkeeper knows the schemes."""


def open_store(url: str, vault: Vault | None = None) -> Store:
    """Open the store at a URL, and create it if it does not exist.

    ``sqlite:///relative.db`` or ``sqlite:////absolute.db``; ``redis://host:port/db`` and its variants, see
    :class:`gaitkeeper.gallery.stores.redis.store.RedisStore`.

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
    return kind_of(url).open(url, vault)


def kind_of(url: str) -> Kind:
    """The kind of store at a URL. Raises UnknownStore."""
    scheme = url.partition("://")[0]
    if scheme not in STORES:
        schemes = ", ".join(f"{scheme}://" for scheme in sorted(STORES))
        raise UnknownStore(f"{without_password(url)!r} is not a store's URL. It must begin with one of {schemes}.")
    return STORES[scheme]


def store_file(url: str) -> Path | None:
    """The file of the store at a URL; None if it is on a server. Raises UnknownStore."""
    kind = kind_of(url)
    return None if kind.file is None else kind.file(url)


def with_password(url: str, password: str) -> str:
    """The URL of a server with this password."""
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.rstrip(':')}:{quote(password, safe='')}@{hosts}").geturl()


def without_password(url: str) -> str:
    """A store's URL without user, password and parameters, safe to print."""
    parts = urlsplit(url)
    if not parts.netloc:  # a file
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
