"""A real MQTT broker is told of cameras and of who is seen; Home Assistant finds them; a broker may be away."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from hooked import Receiver
from mosquitto import Listener, Mosquitto
from real_cameras import Server, until
from serving import Clips, Run, Start, running

from gaitkeeper.service.cameras import broker as connecting
from gaitkeeper.service.cameras import news
from gaitkeeper.service.cameras.topics import of_camera, of_watchlist
from gaitkeeper.service.errors import BadSettings, MqttUnavailable
from gaitkeeper.service.http.openapi.examples import EXAMPLES
from gaitkeeper.service.schemas import Camera
from gaitkeeper.service.settings import Settings, load_settings

Rtsp = Callable[..., Server]
KEY = bytes(range(32))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    monkeypatch.setattr(connecting, "LONGEST_PAUSE", 1)
    monkeypatch.setattr(news, "PAUSE", 0.2)
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def mosquitto(stack: ExitStack, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Mosquitto]:
    def make(*credentials: str) -> Mosquitto:
        made = Mosquitto(tmp_path_factory.mktemp("mosquitto"), *credentials)
        stack.callback(made.kill)
        return made

    return make


def listener(stack: ExitStack, broker: Mosquitto) -> Listener:
    made = Listener(broker)
    stack.callback(made.close)
    return made


@pytest.mark.usefixtures("calibrated")
def test_a_walker_is_told_of_by_mqtt_and_webhook_and_what_is_retained_goes_with_the_camera(
    clip: Clips, rtsp: Rtsp, mosquitto: Callable[..., Mosquitto], stack: ExitStack, tmp_path: Path
) -> None:
    camera, broker = rtsp(clip("ann-long"), "viewer", "hunter2"), mosquitto("gaitkeeper", "broker-word")
    hook = stack.enter_context(Receiver.opened(SECRET))
    (tmp_path / "north").write_text("viewer:hunter2")
    (tmp_path / "broker").write_text("broker-word\n")
    settings = Settings(
        store=f"sqlite:///{tmp_path}/gallery.db",
        network="gei",
        live_sources=[camera.url],
        secrets=tmp_path,
        mqtt_url=broker.url,
        mqtt_user="gaitkeeper",
        mqtt_password_file=tmp_path / "broker",
        webhooks=[{"url": hook.url}],
        webhook_secret=SECRET,
    )
    heard = listener(stack, broker)
    with running(settings, tmp_path) as service:
        client = service.client
        client.enroll(clip("ann-1"), "ann")
        client.add_watchlist("banned", ["ann"])
        client.add_watchlist("strangers", unknown=True)
        client.add_camera("north.door", camera.url, secret="north")
        event = until(lambda: heard.documents("gaitkeeper/cameras/north.door/event"))[0]
        assert (event["event_type"], event["subject"], event["camera"]) == ("match", "ann", "north.door")
        assert event["timestamp"].endswith("Z") and event["stream"] and event["clip_sha256"] is None
        listed = until(lambda: heard.documents("gaitkeeper/watchlists/banned/event"))[0]
        assert (listed["event_type"], listed["watchlist"], listed["verdict"], listed["subject"]) == (
            *("seen", "banned", "match"),
            "ann",
        )
        assert heard.texts("gaitkeeper/watchlists/strangers/event") == []
        told = until(lambda: [m for m in hook.messages() if m["type"] == "match"])[0]
        assert (told["data"]["subject"], told["data"]["camera"]) == ("ann", "north.door")
        until(lambda: [m for m in hook.messages() if m["type"] == "watchlist"])
        assert "online" in until(lambda: heard.texts("gaitkeeper/cameras/north.door/availability"))
        assert client.system().mqtt is not None and client.system().mqtt.connected
        late = listener(stack, broker)
        configs = until(lambda: {t: v for t, v in late.retained().items() if t.startswith("homeassistant/")})
        until(lambda: len([t for t in late.retained() if t.startswith("homeassistant/")]) == 5)
        for topic in configs:
            _, kind, unique, last = topic.split("/")
            document = json.loads(late.retained()[topic])
            assert (last, document["unique_id"]) == ("config", unique) and kind in ("event", "sensor")
            assert document["availability"][0] == {"topic": "gaitkeeper/status"}
        client.remove_camera("north.door")
        client.remove_watchlist("strangers")
        until(lambda: not any("cameras/" in t for t in heard.standing() if not t.endswith("/event")))
        last = until(lambda: _left(stack, broker))
        assert not any("north_door" in topic or "cameras/" in topic or "strangers" in topic for topic in last)
        assert last["gaitkeeper/status"] == "online"
    until(lambda: heard.texts("gaitkeeper/status")[-1] == "offline")
    assert not any(word in heard.everything() for word in ("hunter2", "broker-word"))


def _left(stack: ExitStack, broker: Mosquitto) -> dict[str, str]:
    """What the broker retains, once only one watch list is left."""
    late = listener(stack, broker)
    until(lambda: "gaitkeeper/status" in late.retained())
    kept = late.retained()
    return kept if sum(topic.startswith("homeassistant/") for topic in kept) == 1 else {}


def test_requests_jobs_and_streams_raise_the_same_events_of_a_watch_list(
    start: Start, clip: Clips, mosquitto: Callable[..., Mosquitto], stack: ExitStack, calibrated: None
) -> None:
    broker = mosquitto()
    heard = listener(stack, broker)
    service = start(network="gei", mqtt_url=broker.url, mqtt_topic="hall", mqtt_discovery="")
    client = service.client
    client.enroll(clip("ann-1"), "ann")
    assert client.add_watchlist("banned", ["ann"]).subjects == ["ann"]
    until(lambda: "online" in heard.texts("hall/status"))
    client.identify(clip("ann-2"))
    topic = "hall/watchlists/banned/event"
    first = until(lambda: heard.documents(topic))[0]
    assert (first["subject"], bool(first["clip_sha256"]), first["camera"]) == ("ann", True, None)
    with clip("ann-2").open("rb") as file:
        httpx.post(f"{service.url}/identify", files={"clip": file}, headers={"Prefer": "respond-async"}, timeout=60)
    until(lambda: len(heard.documents(topic)) == 2)
    client.erase("ann")
    assert client.watchlist("banned").subjects == []
    assert not [topic for topic in heard.everything().splitlines() if topic.startswith("homeassistant")]


def test_a_broker_that_is_away_is_told_of_and_looked_for(
    clip: Clips, mosquitto: Callable[..., Mosquitto], stack: ExitStack, tmp_path: Path
) -> None:
    broker, door = mosquitto(), clip("ann-1")
    broker.kill()
    settings = Settings(
        store=f"sqlite:///{tmp_path}/gallery.db", live_sources=[str(door)], mqtt_url=broker.url, network="gei"
    )
    with running(settings, tmp_path) as service:
        client = service.client
        until(lambda: "answer" in (client.system().mqtt.problem or ""))
        assert "gaitkeeper_mqtt_connected 0.0" in httpx.get(f"{service.url}/metrics", timeout=60).text
        client.add_camera("door", str(door))
        client.add_camera("desk", str(door), on=False)
        broker.start()
        heard = listener(stack, broker)
        until(lambda: heard.documents("gaitkeeper/cameras/door/state"))
        until(lambda: client.system().mqtt.connected)
        assert "gaitkeeper_mqtt_connected 1.0" in httpx.get(f"{service.url}/metrics", timeout=60).text
        broker.kill()
        until(lambda: not client.system().mqtt.connected)
        assert client.camera("door").name == "door", "the service goes on"
        client.remove_camera("door")
        broker.start()
        until(lambda: client.system().mqtt.connected)
        until(lambda: not any("door" in topic for topic in heard.standing()))
        late = listener(stack, broker)
        until(lambda: "gaitkeeper/cameras/desk/state" in late.retained())
        assert not any("door" in topic for topic in late.retained())


def test_doctor_tries_the_broker(
    command: Run, mosquitto: Callable[..., Mosquitto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = mosquitto("gaitkeeper", "right")
    settings = {"store": f"sqlite:///{tmp_path}/gallery.db", "mqtt_url": broker.url, "mqtt_user": "gaitkeeper"}
    assert "takes messages" in connecting.try_out(load_settings(**settings, mqtt_password="right"))
    with pytest.raises(MqttUnavailable, match="refuses"):
        connecting.try_out(load_settings(**settings, mqtt_password="wrong"))
    broker.kill()
    with pytest.raises(MqttUnavailable, match="answer"):
        connecting.try_out(load_settings(**settings))
    assert connecting.try_out(load_settings()) == "no broker is set"
    for name, value in settings.items():
        monkeypatch.setenv(f"GAITKEEPER_{name.upper()}", value)
    done = command("doctor")
    assert done.code == 1 and "broker does not answer" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"mqtt_url": "http://broker"}, "mqtt://HOST"),
        ({"mqtt_url": "mqtt://user:word@broker"}, "settings of their own"),
        ({"mqtt_url": "mqtt://broker:99999"}, "out of range"),
        ({"mqtt_topic": "a/#"}, "without"),
        ({"mqtt_topic": ""}, "empty"),
        ({"mqtt_password": "a", "mqtt_password_file": "b"}, "exclude"),
    ],
)
def test_settings_of_a_broker_that_cannot_be_used_are_refused(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadSettings, match=sentence) as told:
        load_settings(**given)
    assert "word" not in told.value.detail.replace("password", "")


def test_names_that_differ_have_topics_that_differ_and_are_ones_that_home_assistant_takes() -> None:
    settings, shown = Settings(), Camera.model_validate(EXAMPLES["Camera"])
    names = ("a.b", "a_b", "a-b", "A.b", "a..b")
    topics = [
        topic
        for name in names
        for topic in (*of_camera(settings, shown.model_copy(update={"name": name})), *of_watchlist(settings, name))
    ]
    assert len(set(topics)) == len(topics)
    plain = [topic.split("/")[2] for topic in topics if topic.startswith("homeassistant/")]
    assert all(part.replace("_", "").replace("-", "").isalnum() and part.isascii() for part in plain)
    ids = SimpleNamespace(
        all=[json.loads(text)["unique_id"] for text in of_camera(settings, shown).values() if "unique_id" in text]
    )
    assert len(set(ids.all)) == 3
