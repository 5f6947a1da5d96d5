"""A process that enrols strictly whenever it is told to; imported by the test that races it."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

from gaitkeeper.gallery import Gallery
from gaitkeeper.gallery.errors import LooksLikeOtherSubject


def enrol(url: str, calibrations: Any, pipe: Connection) -> None:
    """For each collection and walker that comes, until None does: enrol as "racer", and say whether that was done."""
    pipe.send("ready")
    while (told := pipe.recv()) is not None:
        collection, walker = told
        with Gallery.open(url, collection, "gei", calibrations=calibrations) as gallery:
            gallery.ready()
            pipe.send("set")
            pipe.recv()
            try:
                gallery.enroll("racer", walker, strict=True)
            except LooksLikeOtherSubject:
                pipe.send(False)
            else:
                pipe.send(True)
