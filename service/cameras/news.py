"""Tells an MQTT broker of cameras, watch lists, and of who was seen."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gaitkeeper.gallery.errors import StoreUnavailable
from gaitkeeper.service.background.watchlists import Watchlists
from gaitkeeper.service.cameras.broker import Broker
from gaitkeeper.service.cameras.cameras import Cameras
from gaitkeeper.service.cameras.topics import (
    OFFLINE,
    ONLINE,
    camera_event_topic,
    of_camera,
    of_watchlist,
    status_topic,
    watchlist_event_topic,
)
from gaitkeeper.service.metrics import Metrics
from gaitkeeper.service.schemas.system import MqttState
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.state import State

log = logging.getLogger("gaitkeeper")

PAUSE = 10.0
"""Seconds between two looks at the cameras: their frame rates change without notice."""


class News:
    """What one service tells its broker. Only the process that runs the cameras connects. Thread-safe.

    Args:
        settings: the broker; without one nothing is told.
        state: keeps the topics with retained messages, so that they are removed with their camera, also when the broker
            was away at that time.
        metrics: count messages.
    """

    def __init__(self, settings: Settings, state: State, metrics: Metrics) -> None:
        self._settings, self._state, self._metrics = settings, state, metrics
        self._broker: Broker | None = None
        self._sent: dict[str, str] = {}
        self._collections: dict[str | None, str] = {}
        self._fresh = threading.Event()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        if settings.mqtt_url is not None:
            metrics.watch_mqtt(lambda: self._broker is not None and self._broker.is_connected)
            _ = settings.mqtt_credential  # raises now, not in the thread

    def start(self, cameras: Cameras, watchlists: Watchlists) -> None:
        """Begin to tell of these."""
        if self._settings.mqtt_url is not None:
            self._thread = threading.Thread(target=self._keep, args=(cameras, watchlists), name="mqtt", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Say that the service goes, and disconnect."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if self._broker is not None:
            topics = [topic for topic in self._sent if topic.endswith("/availability")]
            for topic in (*topics, status_topic(self._settings)):
                self._broker.publish_surely(topic, OFFLINE)
            self._broker.close()

    def stir(self) -> None:
        """A camera or a watch list has changed. Returns at once."""
        self._wake.set()

    def judged(self, event: str, data: dict[str, Any]) -> None:
        """Publish a verdict: ``match``, ``unknown`` or ``watchlist``, with the data of the webhook's message."""
        if self._broker is None:
            return
        if event == "watchlist":
            topic, kind = watchlist_event_topic(self._settings, data["watchlist"]), "seen"
        elif self._collections.get(data["camera"]) == data["collection"]:
            topic, kind = camera_event_topic(self._settings, data["camera"]), event
        else:  # no camera of this service
            return
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        sent = self._broker.publish(topic, json.dumps({"event_type": kind, "timestamp": at, **data}))
        self._metrics.mqtt("sent" if sent else "dropped")

    def shown(self) -> MqttState | None:
        """The state of the connection; None without a broker."""
        if self._settings.mqtt_url is None:
            return None
        broker = self._broker
        return MqttState(
            broker=self._settings.mqtt_url,
            connected=broker is not None and broker.is_connected,
            problem="Another process of this service is connected." if broker is None else broker.problem,
        )

    def _keep(self, cameras: Cameras, watchlists: Watchlists) -> None:
        while not self._closing.is_set():
            try:
                if cameras.leads:
                    self._refresh(lambda: self._wanted(cameras, watchlists))
            except StoreUnavailable as error:
                log.error("MQTT waits: %s", error.detail)
            except Exception:
                log.exception("MQTT")
            self._wake.wait(PAUSE)
            self._wake.clear()

    def _wanted(self, cameras: Cameras, watchlists: Watchlists) -> dict[str, str]:
        wanted = {status_topic(self._settings): ONLINE}
        found = cameras.all()
        self._collections = {camera.name: camera.collection for camera in found}
        for camera in found:
            wanted |= of_camera(self._settings, camera)
        for name in watchlists.names():
            wanted |= of_watchlist(self._settings, name)
        return wanted

    def _refresh(self, wanted: Callable[[], dict[str, str]]) -> None:
        """Publish what has changed since the last time, and remove what is wanted no more."""
        if self._broker is None:
            self._broker = Broker(self._settings, self._connected, (status_topic(self._settings), OFFLINE))
        if not self._broker.is_connected:
            return
        if self._fresh.is_set():
            self._fresh.clear()
            self._sent = {}
        kept = {row["topic"] for row in self._state.rows("SELECT topic FROM retained")}
        messages = wanted()
        with self._state.transaction() as db:  # first, so that none is forgotten
            db.executemany("INSERT OR IGNORE INTO retained VALUES (?)", [(topic,) for topic in messages.keys() - kept])
        for topic, text in messages.items():
            if self._sent.get(topic) != text and self._broker.publish(topic, text, retain=True):
                self._sent[topic] = text
        for topic in kept - messages.keys():
            if self._broker.publish_surely(topic, ""):
                self._sent.pop(topic, None)
                with self._state.transaction() as db:
                    db.execute("DELETE FROM retained WHERE topic = ?", (topic,))

    def _connected(self) -> None:
        self._fresh.set()
        self._wake.set()
