"""What has expired is removed while the service runs, without anybody asking."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

import anyio.to_thread

from gallery.stores.audit import acting
from models.errors import GaitkeeperError
from service.recognition.engine import Engine

log = logging.getLogger("gaitkeeper")

ACTOR = "expiry"


async def purging(engine: Engine) -> None:
    """Remove what has expired, at once and every ``purge_seconds``, until cancelled."""
    while True:
        try:
            gone = await anyio.to_thread.run_sync(purge, engine)
            if gone:
                log.info("%d expired template(s) removed", gone)
        except GaitkeeperError as error:
            log.error("what has expired could not be removed: %s: %s", error.code, error.detail)
        except Exception:  # nobody would notice if this ended
            log.exception("what has expired could not be removed")
        await asyncio.sleep(engine.settings.purge_seconds)


def purge(engine: Engine) -> int:
    """Remove what has expired from every collection, of strangers and passers-by, too, and from the service's own file.

    Returns:
        How many templates went.
    """
    gone = 0
    with acting(ACTOR):
        for collection in engine.store.collections():
            try:
                gone += _purge(engine, collection.name)
            except GaitkeeperError as error:  # of this one; the others' are due all the same
                log.error("a collection's expired templates could not be removed: %s: %s", error.code, error.detail)
    engine.state.expire(time.time() - engine.settings.keep_jobs)
    return gone


def _purge(engine: Engine, collection: str) -> int:
    removed = engine.store.purge(collection, datetime.now(UTC))
    # Also whoever was erased by another process, or just before this one ended.
    for subject in engine.state.named(collection):
        if not engine.has(collection, subject):
            engine.forget(collection, subject)
    return removed.templates
