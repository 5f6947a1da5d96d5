"""Settings of cameras that the service runs, and of MQTT."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from gaitkeeper.service.errors import BadSettings

SECRET_PREFIX = "GAITKEEPER_SECRET_"  # noqa: S105 - a prefix
"""Variables that hold a camera's user name and password begin with it."""
PORTS = {"mqtt": 1883, "mqtts": 8883}


class CameraSettings(BaseModel):
    """The settings of cameras and MQTT, a part of :class:`gaitkeeper.service.settings.Settings`."""

    cameras: int = Field(8, ge=0, description="Cameras that the service runs at the same time.")
    secrets: Path | None = Field(
        None,
        description="Folder of the cameras' secrets: a file named like the secret, with `user:password`. "
        "A secret that has no file there is read from `GAITKEEPER_SECRET_` and its name in capitals.",
    )
    mqtt_url: str | None = Field(
        None,
        description="MQTT broker that is told of cameras and watch lists, as `mqtt://HOST:1883` or "
        "`mqtts://HOST:8883`; none means no MQTT.",
    )
    mqtt_user: str | None = Field(None, description="User name at the broker.")
    mqtt_password: SecretStr | None = Field(None, description="Password at the broker.")
    mqtt_password_file: Path | None = Field(
        None, description="File that holds the broker's password, in place of `mqtt_password`."
    )
    mqtt_ca: Path | None = Field(
        None, description="File of the certificates that the broker's is checked against; none means the system's."
    )
    mqtt_topic: str = Field("gaitkeeper", description="First part of all topics; services that share a broker differ.")
    mqtt_discovery: str = Field(
        "homeassistant",
        description="First part of Home Assistant's topics of discovery; empty means that nothing is announced there.",
    )

    @field_validator("mqtt_url")
    @classmethod
    def _broker(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
            raise ValueError("mqtt://HOST:PORT or mqtts://HOST:PORT expected")
        if "@" in parts.netloc:
            raise ValueError("the user and the password have settings of their own: mqtt_user, mqtt_password_file")
        _ = parts.port  # raises ValueError where it is no port
        return url

    @field_validator("mqtt_topic", "mqtt_discovery")
    @classmethod
    def _topic(cls, topic: str) -> str:
        if any(sign in topic for sign in "+#\0") or topic.startswith(("/", "$")) or topic.endswith("/"):
            raise ValueError("a topic without +, # and a slash at an end expected")
        return topic

    @property
    def mqtt_credential(self) -> str | None:
        """The broker's password; None without one. Raises BadSettings if its file cannot be read."""
        if self.mqtt_password_file is None:
            return None if self.mqtt_password is None else self.mqtt_password.get_secret_value()
        try:
            return self.mqtt_password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(
                f"The broker's password cannot be read from {self.mqtt_password_file}: {error}."
            ) from error

    @model_validator(mode="after")
    def _complete(self) -> CameraSettings:
        if not self.mqtt_topic:
            raise ValueError("mqtt_topic is empty")
        if self.mqtt_password is not None and self.mqtt_password_file is not None:
            raise ValueError("mqtt_password and mqtt_password_file exclude each other")
        return self
