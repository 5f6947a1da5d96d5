"""A real MQTT broker on loopback, and one who listens to it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from real_cameras import until


class Mosquitto:
    """Debian's broker. It can be killed and started again, on the same port; what is retained is kept.

    Args:
        folder: its files.
        credentials: user and password that it asks for; none lets everybody in.
    """

    def __init__(self, folder: Path, *credentials: str) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed: apt-get install mosquitto")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._program, self._config = program, folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {folder}/", "user root"]
        if credentials:
            words = folder / "passwords"
            subprocess.run(["mosquitto_passwd", "-b", "-c", words, *credentials], check=True, timeout=60)
            lines += ["allow_anonymous false", f"password_file {words}"]
        else:
            lines += ["allow_anonymous true"]
        self._config.write_text("\n".join([*lines, "autosave_on_changes true", "autosave_interval 1", ""]))
        self.credentials = credentials
        self.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen([self._program, "-c", self._config], stderr=subprocess.DEVNULL)
        until(self._listens)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait(60)

    def _listens(self) -> bool:
        with socket.socket() as door:
            return door.connect_ex(("127.0.0.1", self.port)) == 0


class Listener:
    """Hears all messages of a broker, by topic."""

    def __init__(self, broker: Mosquitto) -> None:
        self._lock = threading.Lock()
        self._heard: list[tuple[str, str, bool]] = []
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        if broker.credentials:
            self._client.username_pw_set(*broker.credentials)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._hear
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self._subscribed.wait(60)

    def close(self) -> None:
        """Listen no more."""
        self._client.disconnect()
        self._client.loop_stop()

    def texts(self, topic: str) -> list[str]:
        """All that was said on a topic."""
        with self._lock:
            return [text for heard, text, _ in self._heard if heard == topic]

    def documents(self, topic: str) -> list[dict[str, Any]]:
        """The same, of a topic of JSON."""
        return [json.loads(text) for text in self.texts(topic) if text]

    def standing(self) -> dict[str, str]:
        """The last text of each topic, but of those whose last one was empty: they were removed."""
        with self._lock:
            last = {topic: text for topic, text, _ in self._heard}
        return {topic: text for topic, text in last.items() if text}

    def retained(self) -> dict[str, str]:
        """What the broker had retained when this listener came."""
        with self._lock:
            return {topic: text for topic, text, kept in self._heard if kept}

    def everything(self) -> str:
        """All topics and texts, to look for what must not be there."""
        with self._lock:
            return "\n".join(f"{topic} {text}" for topic, text, _ in self._heard)

    def _hear(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        with self._lock:
            self._heard.append((message.topic, message.payload.decode(), message.retain))
