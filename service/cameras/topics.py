"""Topics and messages of MQTT: what is retained of a camera and of a watch list, and how Home Assistant finds them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from gaitkeeper.service.schemas.cameras import Camera
from gaitkeeper.service.settings import Settings

ONLINE, OFFLINE = "online", "offline"
MAKER = "Gaitkeeper"


def status_topic(settings: Settings) -> str:
    """Topic that says whether the service is connected."""
    return f"{settings.mqtt_topic}/status"


def camera_event_topic(settings: Settings, name: str) -> str:
    """Topic of a camera's verdicts."""
    return f"{settings.mqtt_topic}/cameras/{name}/event"


def watchlist_event_topic(settings: Settings, name: str) -> str:
    """Topic of a watch list's events."""
    return f"{settings.mqtt_topic}/watchlists/{name}/event"


def of_camera(settings: Settings, camera: Camera) -> dict[str, str]:
    """The retained messages of a camera, by topic."""
    own = f"{settings.mqtt_topic}/cameras/{camera.name}"
    state = camera.model_dump(mode="json", include={"state", "code", "detail", "since", "rate", "people"})
    kept = {
        f"{own}/availability": ONLINE if camera.state == "running" else OFFLINE,
        f"{own}/state": json.dumps(state),
    }
    if settings.mqtt_discovery:
        device = _device(settings, f"camera {camera.name}", camera.name)
        entities: list[tuple[str, str, dict[str, Any]]] = [
            (
                "event",
                "walker",
                {
                    "name": "Walker",
                    "state_topic": camera_event_topic(settings, camera.name),
                    "event_types": ["match", "unknown"],
                    "availability": _available(settings, f"{own}/availability"),
                    "availability_mode": "all",
                },
            ),
            (
                "sensor",
                "seen",
                {
                    "name": "Last seen",
                    "state_topic": camera_event_topic(settings, camera.name),
                    "value_template": "{{ value_json.subject or value_json.event_type }}",
                    "availability": _available(settings, f"{own}/availability"),
                    "availability_mode": "all",
                },
            ),
            (
                "sensor",
                "state",
                {
                    "name": "State",
                    "state_topic": f"{own}/state",
                    "value_template": "{{ value_json.state }}",
                    "json_attributes_topic": f"{own}/state",
                    "entity_category": "diagnostic",
                    "availability": _available(settings),
                },
            ),
        ]
        for kind, part, config in entities:
            kept |= _announced(settings, kind, f"camera_{_plain(camera.name)}_{part}", config, device)
    return kept


def of_watchlist(settings: Settings, name: str) -> dict[str, str]:
    """The retained messages of a watch list, by topic."""
    if not settings.mqtt_discovery:
        return {}
    config = {
        "name": "Seen",
        "state_topic": watchlist_event_topic(settings, name),
        "event_types": ["seen"],
        "availability": _available(settings),
    }
    device = _device(settings, f"watch list {name}", f"Watch list {name}")
    return _announced(settings, "event", f"watchlist_{_plain(name)}", config, device)


def _announced(
    settings: Settings, kind: str, part: str, config: dict[str, Any], device: dict[str, Any]
) -> dict[str, str]:
    """The configuration of an entity, at the topic where Home Assistant looks for it."""
    unique = f"{_plain(settings.mqtt_topic.replace('/', '.'))}_{part}"
    text = json.dumps({**config, "unique_id": unique, "device": device, "origin": {"name": MAKER}})
    return {f"{settings.mqtt_discovery}/{kind}/{unique}/config": text}


def _device(settings: Settings, about: str, name: str) -> dict[str, Any]:
    return {"identifiers": [f"{settings.mqtt_topic} {about}"], "name": name, "manufacturer": MAKER}


def _available(settings: Settings, *topics: str) -> list[dict[str, str]]:
    return [{"topic": topic} for topic in (status_topic(settings), *topics)]


def _plain(name: str) -> str:
    """A name of letters, digits, ``_`` and ``-``, as Home Assistant demands. Different names stay different."""
    plain = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_-") else "_" for sign in name)
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
