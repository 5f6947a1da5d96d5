"""Routes for watch lists."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from gaitkeeper.service.background.watchlists import Watchlists
from gaitkeeper.service.http.openapi import problems
from gaitkeeper.service.schemas import NewWatchlist, RemovedWatchlist, Watchlist, WatchlistChange, WatchlistsReply

router = APIRouter(prefix="/watchlists", tags=["watch lists"])

FIND_PROBLEMS = ("not_found", "bad_watchlist", "store_unavailable", "bad_store")
FIELD_PROBLEMS = (*FIND_PROBLEMS, "bad_request", "bad_subject", "bad_collection")


def _watchlists(request: Request) -> Watchlists:
    watchlists: Watchlists = request.app.state.watchlists
    return watchlists


WatchlistsOf = Annotated[Watchlists, Depends(_watchlists)]
NamePath = Annotated[str, Path(description="Name of the watch list.", examples=["banned"])]


@router.get("", summary="List the watch lists", responses=problems("store_unavailable"))
def list_watchlists(watchlists: WatchlistsOf) -> WatchlistsReply:
    """The watch lists of the key's collections."""
    return watchlists.list()


@router.post("", status_code=201, summary="Add a watch list", responses=problems(*FIELD_PROBLEMS, "conflict"))
def add_watchlist(watchlists: WatchlistsOf, new: NewWatchlist) -> Watchlist:
    """Adds a list of subjects, or of unknown walkers, that raise an event when they are seen: by a request, a job, a
    live stream or a camera.
    """
    return watchlists.add(new)


@router.get("/{name}", summary="Show a watch list", responses=problems(*FIND_PROBLEMS))
def show_watchlist(watchlists: WatchlistsOf, name: NamePath) -> Watchlist:
    """One watch list, with its subjects."""
    return watchlists.show(name)


@router.patch("/{name}", summary="Change a watch list", responses=problems(*FIELD_PROBLEMS))
def change_watchlist(watchlists: WatchlistsOf, name: NamePath, change: WatchlistChange) -> Watchlist:
    """Changes the people it watches for."""
    return watchlists.change(name, change)


@router.delete("/{name}", summary="Remove a watch list", responses=problems(*FIND_PROBLEMS))
def remove_watchlist(watchlists: WatchlistsOf, name: NamePath) -> RemovedWatchlist:
    """Removes the list, not its subjects."""
    watchlists.remove(name)
    return RemovedWatchlist(name=name)
