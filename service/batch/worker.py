"""Enrols or identifies one clip of an archive."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from gaitkeeper.gallery.errors import StoreUnavailable
from gaitkeeper.gallery.gallery import Gallery
from gaitkeeper.gallery.stores.audit import acting
from gaitkeeper.gallery.types.sightings import Source
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.errors import EmptyUpload
from gaitkeeper.service.batch.archive import Archive, Item, archive_at
from gaitkeeper.service.batch.lines import Line, Order, Trouble
from gaitkeeper.service.errors import ClusterUnavailable, InvalidRequest
from gaitkeeper.service.options import EnrollOptions, IdentifyOptions, complete
from gaitkeeper.service.recognition.clip_walkers import OpenClip
from gaitkeeper.service.recognition.engine import Engine

WAITS = (1.0, 5.0, 25.0)
"""Seconds between attempts while the store is unreachable."""


class Worker:
    """Each call processes one clip; several threads may call it. Never raises for problems of a clip.

    A repeated enrolment has no effect: the store detects the same walker of the same clip by the clip's digest. A clip
    whose digest is known for its subject is not processed at all.

    Args:
        engine: engine with the store of the order's collection.
        order: the order.

    Raises:
        NoArchive: there is no archive at the order's place.
        ClusterUnavailable: the engine's store is not the one for which the order was made.
    """

    def __init__(self, engine: Engine, order: Order) -> None:
        self._engine = engine
        self._order = order
        self._archive: Archive = archive_at(order.place)
        self._gallery: Gallery = engine.gallery(order.options["collection"])
        if self._gallery.collection.created != order.made:
            raise ClusterUnavailable(
                f"On this host {self._gallery.name!r} is another one: set the same GAITKEEPER_STORE on all hosts."
            )

    def __call__(self, item: Item, sleep: Callable[[float], None] = time.sleep) -> Line:
        """Process a clip and return its result."""
        started = time.perf_counter()
        found: dict[str, Any] = {}
        try:
            limit = self._engine.settings.max_upload_bytes
            with acting("batch"), self._archive.opened(item, limit) as file:
                if not file.seek(0, 2):
                    raise EmptyUpload("The clip has no bytes.")
                clip = OpenClip(file)
                found["sha256"] = clip.sha256
                found |= self._patiently(lambda: self._do(item, clip), sleep)
        except GaitkeeperError as error:
            found["problem"] = Trouble(code=error.code, detail=error.detail)
        except Exception as error:  # an unexpected error with one clip must not end the batch
            found["problem"] = Trouble(code="internal", detail=f"{type(error).__name__}: {error}")
        return Line(**item.model_dump(), seconds=time.perf_counter() - started, **found)

    def _patiently(self, do: Callable[[], dict[str, Any]], sleep: Callable[[float], None]) -> dict[str, Any]:
        for wait in WAITS:
            try:
                return do()
            except StoreUnavailable:
                sleep(wait)
        return do()

    def _do(self, item: Item, clip: OpenClip) -> dict[str, Any]:
        order = self._order
        if order.kind == "identify":
            options = complete(IdentifyOptions, order.options)
            return {"people": self._engine.identify(clip, source=Source.BATCH, **options).people}
        if item.path is not None and item.subject is not None and "\\" in item.subject:
            raise InvalidRequest(f"The folder of {item.name} does not name a subject: its name is no UTF-8.")
        if item.subject is None:
            raise InvalidRequest(f"{item.name} is not in a folder that names its subject, as in alice/{item.name}.")
        if self._engine.has(self._gallery.name, item.subject):
            for template in self._gallery.templates(item.subject):
                if template.clip_sha256 == clip.sha256:
                    return {"template": template.model_copy(update={"duplicate": True})}
        enrolled = self._engine.enroll(clip, item.subject, **complete(EnrollOptions, order.options))
        return {"template": enrolled.template, "warning": enrolled.warning}
