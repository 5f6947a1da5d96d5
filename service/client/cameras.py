"""The client's methods for cameras that the service runs, and for watch lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from gaitkeeper.service import problems
from gaitkeeper.service.client.connection import Connection, path_part
from gaitkeeper.service.options import CameraFields
from gaitkeeper.service.schemas import Camera, CameraList, RemovedCamera, RemovedWatchlist, Watchlist, WatchlistsReply


class CameraMethods(Connection):
    """Adds, shows, changes and removes cameras and watch lists."""

    def list_cameras(self) -> CameraList:
        """The cameras that the service runs, of this key's collections."""
        return self._send("GET", "/cameras", CameraList)

    def add_camera(self, name: str, source: str, **fields: Unpack[CameraFields]) -> Camera:
        """Add a camera, which the service then watches. ``secret`` names the secret that holds ``user:password``."""
        return self._send("POST", "/cameras", Camera, json={"name": name, "source": source, **fields})

    def camera(self, name: str) -> Camera:
        """One camera, with its state, frame rate and latest verdicts."""
        return self._send("GET", f"/cameras/{path_part(name)}", Camera)

    def change_camera(self, name: str, *, source: str | None = None, **fields: Unpack[CameraFields]) -> Camera:
        """Change the given fields. A camera that is on starts again."""
        change = fields if source is None else {"source": source, **fields}
        return self._send("PATCH", f"/cameras/{path_part(name)}", Camera, json=change)

    def remove_camera(self, name: str) -> RemovedCamera:
        """Stop and remove a camera."""
        return self._send("DELETE", f"/cameras/{path_part(name)}", RemovedCamera)

    def camera_picture(self, name: str) -> bytes:
        """The latest picture of a camera, as JPEG."""
        with self._connected():
            reply = self._http.get(f"/cameras/{path_part(name)}/picture")
        if not reply.is_success:
            raise problems.from_body(self._document(reply))
        return reply.content

    def watchlists(self) -> WatchlistsReply:
        """The watch lists of this key's collections."""
        return self._send("GET", "/watchlists", WatchlistsReply)

    def add_watchlist(
        self, name: str, subjects: Sequence[str] = (), *, unknown: bool = False, collection: str = "default"
    ) -> Watchlist:
        """Add a list of subjects, or of unknown walkers, that raise an event when they are seen."""
        new = {"name": name, "collection": collection, "subjects": list(subjects), "unknown": unknown}
        return self._send("POST", "/watchlists", Watchlist, json=new)

    def watchlist(self, name: str) -> Watchlist:
        """One watch list."""
        return self._send("GET", f"/watchlists/{path_part(name)}", Watchlist)

    def change_watchlist(
        self, name: str, *, subjects: Sequence[str] | None = None, unknown: bool | None = None
    ) -> Watchlist:
        """Change the people that a list watches for; None keeps the stored value."""
        change = {"subjects": None if subjects is None else list(subjects), "unknown": unknown}
        return self._send("PATCH", f"/watchlists/{path_part(name)}", Watchlist, json=change)

    def remove_watchlist(self, name: str) -> RemovedWatchlist:
        """Remove a watch list."""
        return self._send("DELETE", f"/watchlists/{path_part(name)}", RemovedWatchlist)
