"""The stores by the scheme of their URL."""

from __future__ import annotations

from collections.abc import Callable

from gallery.errors import UnknownStore
from gallery.sqlite import SQLiteStore
from gallery.store import Store

STORES: dict[str, Callable[[str], Store]] = {
    "sqlite": SQLiteStore,
}


def open_store(url: str) -> Store:
    """The store at a URL, made where it is new: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises:
        UnknownStore: no kind of store goes by that URL.
        StoreUnavailable: it cannot be reached.
        BadStore: it is damaged, of something else, or of a newer version.
    """
    scheme = url.partition("://")[0]
    if scheme not in STORES:
        raise UnknownStore(f"{url!r} is no store; known are {', '.join(f'{s}://' for s in sorted(STORES))}.")
    return STORES[scheme](url)
