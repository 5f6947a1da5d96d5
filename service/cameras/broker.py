"""The connection to an MQTT broker. The service goes on without it, and looks for a lost one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gaitkeeper.service.errors import BadSettings, MqttUnavailable
from gaitkeeper.service.settings import Settings
from gaitkeeper.service.settings.cameras import PORTS

if TYPE_CHECKING:
    from paho.mqtt.client import Client

log = logging.getLogger("gaitkeeper")

FIRST_PAUSE, LONGEST_PAUSE = 1, 60
"""Seconds before the first attempt to reconnect. The pause doubles with each attempt, up to the longest."""
SECONDS = 10.0
"""Time for the broker to answer."""
AT_LEAST_ONCE = 1


class Broker:
    """A connection that is kept. Thread-safe.

    Args:
        settings: address and credentials of the broker; they have an address.
        connected: called whenever the connection was made, from a thread of the connection; it must return at once.
        will: topic and text that the broker publishes, retained, when the connection is lost.

    Raises:
        BadSettings: the password or the certificates cannot be read.
    """

    def __init__(self, settings: Settings, connected: Callable[[], None], will: tuple[str, str] | None = None) -> None:
        self._connected = connected
        self.problem: str | None = "The broker was not reached yet."
        self._told = threading.Event()
        self._client = _client(settings)
        if will is not None:
            self._client.will_set(*will, qos=AT_LEAST_ONCE, retain=True)
        self._client.on_connect = self._came
        self._client.on_connect_fail = self._away
        self._client.on_disconnect = self._gone
        self._client.reconnect_delay_set(FIRST_PAUSE, LONGEST_PAUSE)
        self._client.connect_async(*_place(settings))
        self._client.loop_start()

    @property
    def is_connected(self) -> bool:
        """Whether the broker takes messages now."""
        return self.problem is None

    def publish(self, topic: str, text: str, *, retain: bool = False) -> bool:
        """Send a message. Returns False if the broker is away; the message is then dropped."""
        if not self.is_connected:
            return False
        return self._client.publish(topic, text, qos=AT_LEAST_ONCE, retain=retain).rc == 0

    def publish_surely(self, topic: str, text: str) -> bool:
        """Send a retained message, and wait until the broker has taken it. Returns whether it has."""
        if not self.is_connected:
            return False
        sent = self._client.publish(topic, text, qos=AT_LEAST_ONCE, retain=True)
        try:
            sent.wait_for_publish(SECONDS)
            return sent.is_published()
        except (ValueError, RuntimeError):  # the queue is full, or the connection was lost
            return False

    def wait(self, seconds: float) -> bool:
        """Wait for the first answer of the broker. Returns whether it is connected."""
        self._told.wait(seconds)
        return self.is_connected

    def close(self) -> None:
        """Disconnect. The broker does not publish the will."""
        self._client.disconnect()
        self._client.loop_stop()

    def _came(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._complain(f"The MQTT broker refuses the connection: {reason}.")
        else:
            self.problem = None
            log.info("the MQTT broker is connected")
            self._connected()
        self._told.set()

    def _away(self, client: Client, _data: Any) -> None:
        self._complain("The MQTT broker does not answer.")
        self._told.set()

    def _gone(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if self.problem is None:
            self._complain(f"The connection to the MQTT broker was lost: {reason}.")

    def _complain(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem


def try_out(settings: Settings) -> str:
    """Connect once. Returns a sentence about the broker.

    Raises:
        MqttUnavailable: it cannot be reached, or refuses.
        BadSettings: as of :class:`Broker`.
    """
    if settings.mqtt_url is None:
        return "no broker is set"
    broker = Broker(settings, lambda: None)
    try:
        if not broker.wait(SECONDS):
            raise MqttUnavailable(broker.problem or "The MQTT broker does not answer.")
    finally:
        broker.close()
    return f"{settings.mqtt_url} takes messages"


def _place(settings: Settings) -> tuple[str, int]:
    parts = urlsplit(settings.mqtt_url or "")
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


def _client(settings: Settings) -> Client:
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    client = Client(CallbackAPIVersion.VERSION2)
    client.connect_timeout = SECONDS
    password = settings.mqtt_credential
    if settings.mqtt_user is not None:
        client.username_pw_set(settings.mqtt_user, password)
    if urlsplit(settings.mqtt_url or "").scheme == "mqtts":
        try:
            client.tls_set(ca_certs=None if settings.mqtt_ca is None else str(settings.mqtt_ca))
        except OSError as error:
            raise BadSettings(f"The broker's certificates cannot be read from {settings.mqtt_ca}: {error}.") from error
    return client
