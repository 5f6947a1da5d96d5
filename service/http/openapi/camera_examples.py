"""The examples of cameras and watch lists; see :mod:`gaitkeeper.service.http.openapi.examples`."""

from __future__ import annotations

from typing import Any

CAMERA: dict[str, Any] = {
    "name": "north-door",
    "source": "rtsp://door.example/main",
    "secret": "north_door",
    "collection": "default",
    "rotate": None,
    "fpir": 0.01,
    "where": {},
    "on": True,
    "created": "2025-03-01T09:30:00Z",
    "state": "running",
    "code": None,
    "detail": None,
    "since": "2025-03-01T09:30:02Z",
    "rate": 25.0,
    "frames": 4512,
    "dropped": 3,
    "people": 1,
    "picture": "2025-03-01T09:33:00Z",
    "verdicts": [
        {"at": "2025-03-01T09:32:58Z", "verdict": "match", "subject": "alice", "confidence": 0.97, "track": 4}
    ],
    "learnt": "/collections/default/cameras",
}

WATCHLIST: dict[str, Any] = {
    "name": "banned",
    "collection": "default",
    "subjects": ["alice"],
    "unknown": False,
    "created": "2025-03-01T09:30:00Z",
}

CAMERA_EXAMPLES: dict[str, dict[str, Any]] = {
    "Camera": CAMERA,
    "CameraList": {"cameras": [CAMERA]},
    "RemovedCamera": {"name": "north-door"},
    "Watchlist": WATCHLIST,
    "WatchlistsReply": {"watchlists": [WATCHLIST]},
    "RemovedWatchlist": {"name": "banned"},
}
