"""A live stream in this process, with the same methods as one to a service."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.service.live.events import Credit, Event
from gaitkeeper.service.live.passing import Passing
from gaitkeeper.service.live.rates import Limits
from gaitkeeper.service.live.session import Session, Show, Tell
from gaitkeeper.service.live.sources import Shot


class LocalStream:
    """As :class:`gaitkeeper.service.client.live.LiveStream`. It also accepts pictures.

    Args:
        pipeline, judge, limits, rotate, show: as of :class:`gaitkeeper.service.live.session.Session`.
        heard: makes, of the function that takes events, one that also passes them on.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        judge: Passing,
        limits: Limits,
        rotate: int = 0,
        *,
        show: Show | None = None,
        heard: Callable[[Tell], Tell] = lambda tell: tell,
    ) -> None:
        self._events: queue.Queue[Event | GaitkeeperError | None] = queue.Queue()
        self._ready = threading.Event()
        self._session = Session(pipeline, judge, limits, heard(self._told), rotate, show)
        self._session.start()

    def __enter__(self) -> LocalStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def shoot(self, seq: int, shot: Shot) -> bool:
        """Offer a frame of a source. Always True: events report the frames that are not processed."""
        self._ready.wait()
        self._session.offer(seq, shot.t, shot.codec, shot.data, shot.image)
        return True

    def finish(self) -> None:
        """Signal the end of the frames."""
        self._session.finish()

    def events(self) -> Iterator[Event]:
        """Iterate over events until the stream ends.

        Raises:
            GaitkeeperError: the error that ended the stream.
        """
        while (event := self._events.get()) is not None:
            if isinstance(event, GaitkeeperError):
                raise event
            yield event

    def close(self) -> None:
        """End the stream."""
        self._session.stop()
        self._ready.set()

    def _told(self, event: Event | GaitkeeperError | None) -> None:
        if not isinstance(event, Credit):
            self._events.put(event)
        self._ready.set()  # the models are loaded, or loading has failed
