"""A process that searches; imported by the test that runs it beside one that enrols."""

from __future__ import annotations

import time
from multiprocessing.connection import Connection
from typing import Any

from gaitkeeper.gallery import Gallery


def search(url: str, probe: Any, pipe: Connection) -> None:
    """Identify the probe every 20 ms until told to end; tell whenever the nearest subject is another, and when."""
    with Gallery.open(url) as gallery:
        last = "nobody yet"
        pipe.send(("ready", gallery.ready(), time.time()))
        while not pipe.poll(0.02):
            candidates = gallery.identify(probe).candidates
            found = candidates[0].subject if candidates else None
            if found != last:
                pipe.send((found, len(candidates), time.time()))
                last = found
