"""What has expired is removed while the service runs, without anybody asking."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

import anyio.to_thread

from gallery.audit import acting
from models.errors import GaitkeeperError
from service.engine import Engine

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
        await asyncio.sleep(engine.settings.purge_seconds)


def purge(engine: Engine) -> int:
    """Remove what has expired from every collection, those of strangers included, and from the service's own file.

    Returns:
        How many templates went.
    """
    gone = 0
    with acting(ACTOR):
        for collection in engine.store.collections():
            removed = engine.store.purge(collection.name, datetime.now(UTC))
            gone += removed.templates
            if removed.subjects:
                for subject in engine.state.named(collection.name):
                    if not engine.has(collection.name, subject):
                        engine.forget(collection.name, subject)
    engine.state.expire(time.time() - engine.settings.keep_jobs)
    return gone
