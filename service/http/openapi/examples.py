"""The examples in the OpenAPI document. A test validates each of them against its reply type."""

from __future__ import annotations

from typing import Any

from gaitkeeper.service.http.openapi.camera_examples import CAMERA_EXAMPLES
from gaitkeeper.service.http.openapi.sighting_examples import SIGHTING_EXAMPLES

FINGERPRINT = "gei:none:1:blazepose-full/1"

QUALITY: dict[str, Any] = {
    "frames": 88,
    "skipped": {"cut_off": 12},
    "mean_joint_score": 0.93,
    "mask_stability": 0.97,
    "cut_off_share": 0.12,
    "gait_cycles": 2.7,
    "rate_hz": 30.0,
    "low_rate": False,
    "missed": 0,
    "upright": 1.0,
    "turn": None,
    "likeness_changed": False,
}

CLIP: dict[str, Any] = {
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "width": 1280,
    "height": 720,
    "rate": 30.0,
    "frames": 118,
    "duration": 3.93,
    "codec": "h264",
    "container": "mp4",
    "stream": 0,
    "repaired": {},
    "rotated": 0,
}

TEMPLATE: dict[str, Any] = {
    "id": "5b0cf3a6d5a84b3f8f1d0b1f6b8f2a77",
    "collection": "default",
    "subject": "alice",
    "fingerprint": FINGERPRINT,
    "trained": True,
    "shape": [1, 2816],
    "clip_sha256": CLIP["sha256"],
    "track": 1,
    "camera": "north-door",
    "heading": "towards",
    "start": 0.4,
    "end": 3.33,
    "quality": QUALITY,
    "has_heatmaps": False,
    "created": "2025-03-01T09:30:00Z",
    "duplicate": False,
    "expires": None,
}

TIMINGS = {"decode": 0.4, "perception": 2.1, "tracking": 0.02, "sequences": 0.1}

ENROLL: dict[str, Any] = {
    "template": TEMPLATE,
    "warning": None,
    "clip": CLIP,
    "skipped": [],
    "timings": {**TIMINGS, "enroll": 0.03, "total": 2.4},
    "others": [],
}

EXPLANATION: dict[str, Any] = {
    "source": "collection",
    "pairs": 45,
    "parts": [{"top": 0.0, "bottom": 1.0, "low": 6.1, "median": 8.8, "high": 11.9}],
    "candidates": [
        {"subject": "alice", "template": TEMPLATE["id"], "distances": [6.2], "impostor_shares": [0.06]},
    ],
}

STRIPS: dict[str, Any] = {"silhouettes": "iVBORw0KGgo…", "skeletons": "iVBORw0KGgo…"}

PICTURES: dict[str, Any] = {**STRIPS, "thumbnail": "/9j/4AAQ…", "templates": {TEMPLATE["id"]: STRIPS}}

IDENTIFY: dict[str, Any] = {
    "collection": "default",
    "people": [
        {
            "verdict": "inconclusive",
            "reason": "uncalibrated",
            "candidates": [
                {"subject": "alice", "rank": 1, "distance": 6.2, "confidence": None, "template": TEMPLATE["id"]},
                {
                    "subject": "bob",
                    "rank": 2,
                    "distance": 9.8,
                    "confidence": None,
                    "template": "0d6f4f0e1c7b4a4c8b59f2f1f2a9f0c3",
                },
            ],
            "threshold": {
                "value": None,
                "fpir": 0.01,
                "gallery_size": 2,
                "source": None,
                "extrapolated": False,
                "basis": None,
                "unit": None,
            },
            "collection": "default",
            "fingerprint": FINGERPRINT,
            "trained": True,
            "track": 1,
            "start": 0.2,
            "end": 3.1,
            "quality": QUALITY,
            "timings": {"embed": 0.01, "search": 0.001},
            "age": None,
            "same_as": None,
            "seen": {"camera": "north-door", "heading": "towards", "walks": 112, "applied": True},
            "stranger": None,
            "sighting": None,
            "explanation": EXPLANATION,
            "pictures": PICTURES,
            "trail": {"times": [0.2, 0.233], "boxes": [[310.0, 96.5, 402.0, 371.0], [312.5, 96.5, 404.0, 371.0]]},
        }
    ],
    "clip": CLIP,
    "skipped": [{"track": 2, "reason": "too_short", "frames": 9, "usable": 9, "start": 3.4, "end": 3.7}],
    "timings": {**TIMINGS, "embed": 0.01, "search": 0.001, "total": 2.4},
    "handle": None,
    "expires": None,
}

WALKERS: dict[str, Any] = {
    "handle": "Xr3nB0oJ9yQm1vTz5cLk7w",
    "expires": "2025-03-01T09:40:00Z",
    "collection": "default",
    "walkers": [
        {
            "track": 1,
            "start": 0.2,
            "end": 3.1,
            "box": [310.0, 96.5, 402.0, 371.0],
            "quality": QUALITY,
            "same_as": None,
            "thumbnail": "/9j/4AAQ…",
            "unfit": None,
            "strips": STRIPS,
            "trail": {"times": [0.2, 0.233], "boxes": [[310.0, 96.5, 402.0, 371.0], [312.5, 96.5, 404.0, 371.0]]},
        },
        {
            "track": 3,
            "start": 2.1,
            "end": 2.8,
            "box": [104.0, 90.0, 180.5, 330.0],
            "quality": {**QUALITY, "frames": 20, "upright": 0.2, "turn": 90},
            "same_as": None,
            "thumbnail": "/9j/4AAQ…",
            "unfit": {
                "code": "not_upright",
                "detail": "The walker stands upright in 20 % of the frames only: turn the clip by 90 degrees.",
                "reasons": [],
            },
            "strips": None,
            "trail": None,
        },
    ],
    "clip": CLIP,
    "skipped": [{"track": 2, "reason": "too_short", "frames": 9, "usable": 9, "start": 3.4, "end": 3.7}],
    "timings": {**TIMINGS, "total": 2.4},
}

PERSON: dict[str, Any] = {
    "subject": "alice",
    "collection": "default",
    "display_name": None,
    "metadata": {},
    "legal_basis": None,
    "templates": 1,
    "created": "2025-03-01T09:30:00Z",
    "last_seen": {"time": "2025-03-02T08:15:00Z", "camera": "north-door"},
    "picture": True,
}

SUBJECTS: dict[str, Any] = {"collection": "default", "subjects": [PERSON], "next": None}

SUBJECT: dict[str, Any] = {"subject": PERSON, "templates": [TEMPLATE], "outliers": []}

ERASED: dict[str, Any] = {
    "collection": "default",
    "subject": "alice",
    "templates": 1,
    "passers_by": 0,
    "sightings": 3,
    "pending": False,
}

DOUBLE: dict[str, Any] = {
    "subject": "alice",
    "other": "alice-2",
    "template": TEMPLATE["id"],
    "other_template": "0d6f4f0e1c7b4a4c8b59f2f1f2a9f0c3",
    "distance": 0.31,
    "confidence": 0.94,
    "threshold": {
        "value": 0.42,
        "fpir": 0.001,
        "gallery_size": 12,
        "source": "calibration",
        "extrapolated": False,
        "basis": "collection",
        "unit": 0.95,
    },
}

VERIFY: dict[str, Any] = {
    "person": {
        "verdict": "match",
        "reason": None,
        "subject": "alice",
        "distance": 0.31,
        "confidence": 0.94,
        "template": TEMPLATE["id"],
        "threshold": {"value": 0.58, "fmr": 0.001, "source": "calibration", "basis": "collection", "unit": 0.95},
        "collection": "default",
        "fingerprint": FINGERPRINT,
        "trained": True,
        "track": 1,
        "start": 0.2,
        "end": 3.1,
        "quality": QUALITY,
        "timings": {"embed": 0.01, "search": 0.0002},
        "seen": None,
    },
    "clip": CLIP,
    "skipped": [],
    "timings": {**TIMINGS, "embed": 0.01, "search": 0.0002, "total": 2.4},
}

COLLECTION: dict[str, Any] = {
    "name": "default",
    "fingerprint": FINGERPRINT,
    "trained": True,
    "keeps_heatmaps": False,
    "subjects": 1,
    "templates": 1,
    "created": "2025-03-01T09:00:00Z",
    "ttl_seconds": None,
    "sightings_seconds": 604800.0,
    "shadow": None,
}

REMOVED: dict[str, Any] = {"collection": "default", "templates": 1, "subjects": 0, "sightings": 0, "pending": False}

JOB: dict[str, Any] = {
    "id": "0c8b6f1e6f5f4f7d9a3b2c1d0e9f8a7b",
    "kind": "identify",
    "collection": "default",
    "key": None,
    "file": "door.mp4",
    "camera": "north-door",
    "state": "running",
    "stage": "looking at the clip",
    "progress": 0.4,
    "created": "2025-03-01T09:30:00Z",
    "ended": None,
    "expires": None,
    "annotated": False,
    "status": None,
    "outcome": None,
    "result": None,
    "problem": None,
}

JOB_STATE: dict[str, Any] = {name: value for name, value in JOB.items() if name not in {"result", "problem"}}

MODEL: dict[str, Any] = {
    "name": "gaitpart",
    "about": "GaitPart: part features per frame, their micro-motions over time.",
    "inputs": ["silhouettes"],
    "default": True,
    "trained": True,
    "weights": {
        "sha256": "5480e4a1885da2c5b0c8f1e6f5f4f7d9a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8",
        "licence": "Apache-2.0",
        "about": "Trained on rendered walkers.",
        "state": "present",
    },
    "calibrated": [
        {
            "fingerprint": "gaitpart:5480e4a1885da2c5:1:blazepose-full/1",
            "fpirs": [0.01, 0.001],
            "gallery_sizes": [10, 100, 1000],
            "fmrs": [0.001, 0.01],
        }
    ],
}

SYSTEM: dict[str, Any] = {
    "version": "0.2.0",
    "torch": "2.9.0",
    "device": "cpu",
    "device_name": None,
    "processors": 2,
    "threads": 2,
    "network": "gaitpart",
    "precision": "float32",
    "perception": "blazepose",
    "sandbox": True,
    "locked": False,
    "store": {
        "kind": "sqlite",
        "durable": True,
        "encrypted": False,
        "collections": 1,
        "subjects": 1,
        "templates": 1,
    },
    "load": {
        "clips_pending": 1,
        "clips_bound": 9,
        "workers": 1,
        "jobs_waiting": 0,
        "jobs_bound": 16,
        "load_average": 0.8,
        "memory_bytes": 412000000,
    },
    "limits": {
        "max_upload_bytes": 268435456,
        "max_seconds": 3600.0,
        "async_seconds": 120.0,
        "deadline": 300.0,
        "rate": "600/minute",
    },
    "mqtt": {"broker": "mqtt://broker.example:1883", "connected": True, "problem": None},
    "started": "2025-03-01T09:30:00Z",
    "uptime": 3600.0,
}

STRANGERS: dict[str, Any] = {
    "collection": "default",
    "keep_seconds": 86400.0,
    "groups": [
        {
            "id": "3f1c9a0b7d5e2468",
            "strangers": [
                {
                    "id": "9c0d4f0e1c7b4a4c8b59f2f1f2a9f0c3",
                    "seen": "2025-03-01T09:30:00Z",
                    "expires": "2025-03-02T09:30:00Z",
                    "clip_sha256": CLIP["sha256"],
                    "track": 1,
                    "start": 0.2,
                    "end": 3.1,
                    "camera": None,
                }
            ],
            "first_seen": "2025-03-01T09:30:00Z",
            "last_seen": "2025-03-01T09:30:00Z",
            "spread": 0.0,
        }
    ],
}

READY: dict[str, Any] = {
    "status": "ready",
    "checks": {"perception": 0.12, "network": 0.004, "store": 0.002, "index": 0.001},
}

EXAMPLES: dict[str, dict[str, Any]] = {
    **CAMERA_EXAMPLES,
    "EnrollReply": ENROLL,
    "IdentifyReply": IDENTIFY,
    "VerifyReply": VERIFY,
    "WalkersReply": WALKERS,
    "ErasedHandle": {"handle": WALKERS["handle"], "walkers": 2},
    "LearnReply": {
        "collection": "default",
        "camera": "north-door",
        "walkers": 3,
        "kept": 2,
        "clip": CLIP,
        "skipped": [],
        "timings": {**VERIFY["timings"], "learn": 0.02},
    },
    "Collection": COLLECTION,
    "CamerasReply": {
        "collection": "default",
        "keep_seconds": 604800.0,
        "views": [
            {"camera": "north-door", "heading": "away", "walks": 24},
            {"camera": "north-door", "heading": "towards", "walks": 64},
        ],
    },
    "CollectionsReply": {"collections": [COLLECTION], "next": None},
    "TemplatesReply": {"collection": "default", "subject": "alice", "templates": [TEMPLATE], "next": None},
    "Removal": REMOVED,
    "JobReply": JOB,
    "JobsReply": {"jobs": [JOB_STATE], "next": None},
    "ModelsReply": {"models": [MODEL]},
    "PermissionsReply": {"id": "9f2c4e6a8b0d1f35", "name": "door", "scopes": ["identify"], "collections": ["door"]},
    "SessionReply": {"key": "9f2c4e6a8b0d1f35", "name": "door", "expires": "2025-03-01T17:30:00Z"},
    "SignedOut": {"signed_out": True},
    "SystemReply": SYSTEM,
    "SubjectsReply": SUBJECTS,
    "SubjectReply": SUBJECT,
    "Strips": STRIPS,
    "StrangersReply": STRANGERS,
    **SIGHTING_EXAMPLES,
    "NamedReply": {"collection": "default", "subject": "alice", "templates": [TEMPLATE]},
    "Erasure": ERASED,
    "Merge": {"collection": "default", "subject": "alice", "other": "alice-2", "templates": 1, "pending": False},
    "DoublesReply": {"collection": "default", "reason": None, "doubles": [DOUBLE], "next": None},
    "Apart": {"collection": "default", "subject": "alice", "other": "bob"},
    "DistancesReply": {
        "collection": "default",
        "subject": "alice",
        "other": None,
        "templates": [TEMPLATE],
        "distances": [[0.0]],
    },
    "Silhouettes": {"silhouettes": "iVBORw0KGgo…", "frames": 44, "rate_hz": 15.0},
    "Health": {"status": "ok"},
    "Readiness": READY,
}
"""Examples by the name of the reply's schema."""
