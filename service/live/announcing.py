"""Tells webhooks and metrics what a live stream says about its people."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

from gaitkeeper.gallery.errors import StoreUnavailable
from gaitkeeper.gallery.types import Identification, Verdict
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.service.live.events import Event, VerdictEvent
from gaitkeeper.service.live.session import Tell
from gaitkeeper.service.metrics import Metrics

log = logging.getLogger("gaitkeeper")


class Announcer:
    """Passes on the events of one stream, and tells webhooks of its people.

    A track is told of as soon as a name is shown for it, and at its end if that says something else: another name, or
    unknown.

    Args:
        judged: takes the verdicts to tell of, each with the stream's id.
        metrics: count the verdict on each track, at its end.
        tell: takes every event.
    """

    def __init__(self, judged: Callable[[Identification, str], None], metrics: Metrics, tell: Tell) -> None:
        self._judged, self._metrics, self._tell = judged, metrics, tell
        self._stream = uuid.uuid4().hex
        self._told: dict[int, tuple[Verdict, str | None]] = {}

    def __call__(self, event: Event | GaitkeeperError | None) -> None:
        """Take one event of the stream, from any thread."""
        if isinstance(event, VerdictEvent):
            self._announce(event)
        self._tell(event)

    def _announce(self, event: VerdictEvent) -> None:
        shown, said = event.shown, (event.shown.verdict, event.shown.subject)
        if event.person is None and shown.reason == "likeness_changed":
            self._told.pop(event.track, None)  # the track may show another person now
        elif self._is_news(event) and event.person is not None and _says(event.person) == said:
            self._told[event.track] = said
            self._send(event.person)
        if event.final:
            self._metrics.judged(shown.verdict, shown.reason)
            self._told.pop(event.track, None)

    def _is_news(self, event: VerdictEvent) -> bool:
        """Whether a track is shown with another name than was told; unknown is only news at the track's end."""
        said = (event.shown.verdict, event.shown.subject)
        return (event.final or event.shown.verdict is Verdict.MATCH) and self._told.get(event.track) != said

    def _send(self, person: Identification) -> None:
        try:
            self._judged(person, self._stream)
        except StoreUnavailable as error:  # the stream goes on
            log.error("a webhook's message could not be kept: %s", error.detail)


def _says(person: Identification) -> tuple[Verdict, str | None]:
    return person.verdict, person.named
