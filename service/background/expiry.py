"""Removes expired data periodically while the service runs."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

import anyio.to_thread

from gaitkeeper.gallery.stores.audit import acting
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.recognition.engine import Engine

log = logging.getLogger("gaitkeeper")

ACTOR = "expiry"


async def purging(engine: Engine) -> None:
    """Remove expired data now and every ``purge_seconds``, until cancelled."""
    while True:
        try:
            gone = await anyio.to_thread.run_sync(purge, engine)
            if gone:
                log.info("%d expired template(s) removed", gone)
        except GaitkeeperError as error:
            log.error("what has expired could not be removed: %s: %s", error.code, error.detail)
        except Exception:  # keep running: if this task ended, nothing would report it
            log.exception("what has expired could not be removed")
        await asyncio.sleep(engine.settings.purge_seconds)


def purge(engine: Engine) -> int:
    """Remove expired data from every collection, including those of strangers and passers-by, and from the service's
    state file.

    Returns:
        Number of removed templates.
    """
    gone = 0
    with acting(ACTOR):
        for collection in engine.store.collections():
            try:
                gone += _purge(engine, collection.name)
            except GaitkeeperError as error:  # go on with the other collections
                log.error("a collection's expired templates could not be removed: %s: %s", error.code, error.detail)
    engine.state.expire(time.time() - engine.settings.keep_jobs)
    return gone


def _purge(engine: Engine, collection: str) -> int:
    removed = engine.store.purge(collection, datetime.now(UTC))
    # Also handle subjects that another process erased, or that were erased just before this process last ended.
    for subject in engine.state.named(collection):
        if not engine.has(collection, subject):
            engine.forget(collection, subject)
    return removed.templates
