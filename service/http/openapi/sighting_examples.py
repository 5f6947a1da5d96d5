"""The examples of sightings in the OpenAPI document; see :mod:`gaitkeeper.service.http.openapi.examples`."""

from __future__ import annotations

from typing import Any

SIGHTING: dict[str, Any] = {
    "id": "9c0d4f0e1c7b4a4c8b59f2f1f2a9f0c3",
    "collection": "default",
    "time": "2025-03-02T08:15:00Z",
    "expires": "2025-03-09T08:15:00Z",
    "camera": "north-door",
    "source": "request",
    "verdict": "match",
    "reason": None,
    "subject": "alice",
    "distance": 0.31,
    "confidence": 0.94,
    "stranger": None,
    "clip_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "track": 1,
    "start": 0.2,
    "end": 3.1,
    "thumbnail": True,
    "searchable": False,
}

UNKNOWN: dict[str, Any] = {
    **SIGHTING,
    "time": "2025-02-27T17:40:00Z",
    "expires": "2025-03-06T17:40:00Z",
    "verdict": "unknown",
    "subject": None,
    "distance": None,
    "confidence": None,
    "searchable": True,
}

SIGHTING_EXAMPLES: dict[str, dict[str, Any]] = {
    "Sighting": SIGHTING,
    "SightingsReply": {"collection": "default", "keep_seconds": 604800.0, "sightings": [SIGHTING], "next": None},
    "EarlierSearch": {
        "collection": "default",
        "subject": "alice",
        "before": "2025-03-01T09:30:00Z",
        "searched": 12,
        "incomparable": 0,
        "found": [{"sighting": UNKNOWN, "distance": 0.42, "threshold": 0.58, "match": True}],
    },
}
