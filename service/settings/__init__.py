"""Settings of the service and the command line, from the environment, a TOML file, or code."""

from __future__ import annotations

import base64
import json
import logging
import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from gaitkeeper.gallery.stores.encryption import Vault
from gaitkeeper.gallery.stores.open import store_file, with_password, without_password
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.service.auth.loopback import is_loopback
from gaitkeeper.service.errors import BadSettings
from gaitkeeper.service.options import Rotation
from gaitkeeper.service.settings.cameras import CameraSettings
from gaitkeeper.service.settings.names import PREFIX, meant, names_of, strange
from gaitkeeper.service.settings.scale import Scale

CONFIG_VARIABLE = "GAITKEEPER_CONFIG"

log = logging.getLogger("gaitkeeper")


def _listed(value: Any) -> Any:
    """Parse a list, written as JSON or separated by commas."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part for part in map(str.strip, value.split(",")) if part]


Listed = Annotated[list[str], NoDecode, BeforeValidator(_listed)]
"""List of texts without commas."""


class Webhook(BaseModel):
    """A webhook target."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(description="https, or http on a loopback address.")
    events: list[Literal["job.ended", "match", "unknown", "watchlist"]] = Field(
        ["job.ended", "match", "watchlist"], description="What it is told of."
    )
    collections: list[str] | None = Field(None, description="Whose alone; null for every collection.")

    @field_validator("url")
    @classmethod
    def _safe(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password or parts.fragment or not parts.hostname:
            raise ValueError("an address without user, password and fragment expected")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
            raise ValueError("use https for an address on another machine")
        return url


class Settings(CameraSettings, BaseSettings):
    """Settings of the service. Every field has a working default.

    The sources of a field, by priority: keyword arguments, the environment (``GAITKEEPER_STORE``; nested fields with
    two underscores, ``GAITKEEPER_PIPELINE__THREADS``), the TOML file named by ``GAITKEEPER_CONFIG``, the default.
    """

    model_config = SettingsConfigDict(
        env_prefix="GAITKEEPER_", env_nested_delimiter="__", extra="forbid", validate_default=True
    )

    store: str = Field(
        "sqlite:///gallery.db",
        description="Gallery store, as a URL: `sqlite:///FILE`, `redis://…`, `redis+sentinel://…`, `redis+cluster://…`.",
    )
    store_password_file: Path | None = Field(
        None,
        description="File that holds the password of the Redis in `store`, which then names none: so it is in no "
        "environment and no list of processes.",
    )
    state: str | None = Field(
        None,
        description="SQLite file of the service's own: API keys, replies to repeat, jobs. None means beside the store.",
    )
    store_key: SecretStr | None = Field(
        None,
        description="Key that encrypts embeddings and sequences at rest: 64 hexadecimal digits, or 32 bytes in base64; "
        "where there are several, the first encrypts.",
    )
    store_key_file: Path | None = Field(None, description="File that holds the key, in place of `store_key`.")
    network: str | None = Field(
        None, description="Network of collections that are created; none means the project's default network."
    )
    calibration: Path | None = Field(
        None,
        description="File of calibrations of your own networks, made by `gaitkeeper calibrate`; they are used beside "
        "the shipped ones, and in place of a shipped one of the same network.",
    )
    precision: Literal["float32", "float16", "bfloat16"] = Field(
        "float32", description="In which embeddings are kept in memory and searched; the halves need about half of it."
    )
    host: str = Field(
        "127.0.0.1", description="Address to listen on. Without keys only loopback addresses are allowed."
    )
    published_on_loopback: bool = Field(
        False, description="Inside a container whose port is published on loopback alone: any `host` is allowed there."
    )
    port: int = Field(8321, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    root_path: str = Field(
        "",
        pattern=r"^[A-Za-z0-9/._~-]*$",
        description="Path below which a proxy shows the service, as in `/gait`; empty means the host itself.",
    )
    max_upload_bytes: int = Field(
        256 * 2**20, ge=1, description="Largest request body, in bytes, counted while it streams in."
    )
    uploads: int = Field(
        32,
        ge=1,
        description="Bodies that may come in at the same time; one more takes the place of a slow one, or is "
        "`overloaded`.",
    )
    workers: int = Field(1, ge=1, description="Number of clips processed at the same time.")
    batch: int = Field(
        32, ge=1, description="Walkers, of whichever requests, that go through a gait network together at most."
    )
    batch_wait: float = Field(
        0,
        ge=0,
        description="Seconds that a walker may wait for others to share a batch; those who come while the network is "
        "busy share one at 0, too.",
    )
    queue: int = Field(8, ge=0, description="Clips that may wait for a worker; one more is answered `overloaded`.")
    retry_after: int = Field(5, ge=1, description="Seconds that an `overloaded` reply asks the caller to wait.")
    rate: str = Field("600/minute", description="Requests that one API key may make; more are `rate_limited`.")
    session_seconds: float = Field(
        28800, ge=60, description="Seconds after which a user of the page who signed in with a key must sign in again."
    )
    cors_origins: Listed = Field(
        [],
        description="Origins of other hosts' pages that may ask, with commas or as a JSON list: "
        "`https://example.org,https://example.net`.",
    )
    keep_replies: float = Field(
        86400, gt=0, description="Seconds to keep a reply to a request that carries an `Idempotency-Key`."
    )
    async_seconds: float = Field(
        120, gt=0, description="Seconds of a clip above which it becomes a job, even if the caller did not ask for one."
    )
    jobs: int = Field(16, ge=1, description="Jobs that may wait; one more is answered `overloaded`.")
    keep_jobs: float = Field(3600, gt=0, description="Seconds to keep what came of a job.")
    keep_handles: float = Field(
        600, gt=0, description="Seconds for which the walkers of a clip are kept in memory under a handle."
    )
    handles: int = Field(
        100,
        ge=0,
        description="Handles that are kept at the same time; one more takes the place of the oldest of the caller who "
        "holds most.",
    )
    handle_bytes: int = Field(
        256 * 2**20, ge=0, description="Bytes of memory for the walkers of all handles, in the same way."
    )
    annotated_bytes: int = Field(
        2**31,
        ge=1,
        description="Bytes of annotated clips that are kept with their jobs; a request for one more is answered "
        "`overloaded`.",
    )
    sightings: int = Field(
        10_000,
        ge=1,
        description="Sightings that a collection keeps, if it keeps any; one more takes the place of the oldest.",
    )
    purge_seconds: float = Field(3600, gt=0, description="Seconds between two removals of what has expired.")
    streams: int = Field(2, ge=0, description="Live streams at the same time; one more is answered `overloaded`.")
    stream_pixels: int = Field(1920 * 1088, ge=1, description="Largest picture of a live stream, in pixels.")
    stream_message_bytes: int = Field(2**21, ge=1, description="Largest message of a live stream, in bytes.")
    stream_rate: float = Field(
        60, ge=1, description="Frames a second that a live stream may send; more are dropped, and reported."
    )
    stream_idle: float = Field(30, gt=0, description="Seconds that a live stream may be silent.")
    stream_seconds: float = Field(3600, gt=0, description="Seconds that a live stream may last.")
    camera_rotate: dict[str, Rotation] = Field(
        {},
        description="Degrees to turn a named camera's pictures clockwise, unless a request says otherwise, as a JSON "
        'object: `{"north-door": 180}`.',
    )
    live_sources: Listed = Field(
        [],
        description="Cameras that the service and `gaitkeeper watch` may open, with commas or as a JSON list: "
        '`["rtsp://door.example/main"]`. For the service also files, and webcams as `/dev/video0`.',
    )
    webhooks: list[Webhook] = Field(
        [],
        description="Programs to tell of ended jobs, of matches and of unknown walkers, as a JSON list of objects with "
        "`url`, `events` and `collections`.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Key of their signatures, `whsec_` and 24 to 64 bytes in base64; needed where there are any.",
    )
    webhook_attempts: int = Field(6, ge=1, le=10, description="Tries of one message, over two hours.")
    log: Literal["json", "text"] = Field("json", description="Form of the service's log lines.")
    deadline: float = Field(
        300,
        gt=0,
        description="Seconds that a body may take to come, and from then on its clip to be answered: waiting and work.",
    )
    pipeline: PipelineSettings = Field(
        default_factory=PipelineSettings, description="Settings of the way from a clip to gait sequences."
    )
    ray: Scale = Field(default_factory=Scale, description="What runs on a Ray cluster.")

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.store_password_file is not None:
            if store_file(self.store) is not None:
                raise ValueError("store_password_file is for Redis; this store has no password")
            if urlsplit(self.store).password:
                raise ValueError("the store has a password in its URL and one in store_password_file")
        return self

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if len({webhook.url for webhook in self.webhooks}) < len(self.webhooks):
            raise ValueError("a webhook's address is listed twice")
        if self.webhooks and self.webhook_secret is None:
            raise ValueError("webhooks need a webhook_secret")
        if self.webhook_secret is not None:
            _ = self.webhook_key
        return self

    def turn_of(self, camera: str | None, rotate: int | None) -> int:
        """Clockwise rotation of pictures in degrees: the request's value, else the camera's setting, else 0."""
        return self.camera_rotate.get(camera or "", 0) if rotate is None else rotate

    @property
    def webhook_key(self) -> bytes:
        """The bytes of the webhooks' secret, empty if there is none."""
        if self.webhook_secret is None:
            return b""
        kind, _, text = self.webhook_secret.get_secret_value().partition("_")
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if kind != "whsec" or not 24 <= len(key) <= 64:
            raise ValueError("webhook_secret is `whsec_` and 24 to 64 bytes in base64")
        return key

    @property
    def store_url(self) -> str:
        """The store's URL with its password. Use it only to open the store; never show it.

        Raises:
            BadSettings: the password file cannot be read, or is empty.
        """
        if self.store_password_file is None:
            return self.store
        try:
            password = self.store_password_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(
                f"The store's password cannot be read from {self.store_password_file}: {error}."
            ) from error
        if not password:
            raise BadSettings(f"There is no password in {self.store_password_file}.")
        return with_password(self.store, password)

    @property
    def store_shown(self) -> str:
        """The store's URL without user, password and parameters, safe to print."""
        return without_password(self.store)

    @property
    def state_path(self) -> Path:
        """Path of the service's state file."""
        if self.state is not None:
            return Path(self.state).expanduser()
        beside = store_file(self.store) or Path("gaitkeeper.db")
        return beside.with_name(f"{beside.stem}.service.db")

    @property
    def vault(self) -> Vault | None:
        """The store's keys; None without encryption. Raises BadStoreKey."""
        if self.store_key_file is not None:
            return Vault.read(self.store_key_file)
        return None if self.store_key is None else Vault.parse(self.store_key.get_secret_value())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Sources by priority: keyword arguments, environment, TOML file. No dotenv files and no secret folders."""
        config = os.environ.get(CONFIG_VARIABLE)
        file = [TomlConfigSettingsSource(settings_cls, Path(config))] if config else []
        return (init_settings, env_settings, *file)


def load_settings(**given: Any) -> Settings:
    """Load the settings. ``given`` overrides all other sources.

    Raises:
        BadSettings: a value cannot be parsed or is out of range, or the configuration file is missing, unreadable or
            not TOML.
    """
    config = os.environ.get(CONFIG_VARIABLE)
    if config and not Path(config).is_file():
        raise BadSettings(f"{CONFIG_VARIABLE} names {config}, which is no file.")
    for name, value in os.environ.items():
        if name.startswith(PREFIX) and value.encode(errors="replace").decode() != value:
            raise BadSettings(f"{name} is no UTF-8.")
    try:
        settings = Settings(**given)
    except ValidationError as error:
        raise BadSettings(f"{'; '.join(map(_told, error.errors()))}.") from error
    except SettingsError as error:
        raise BadSettings(f"{error}: JSON is expected.") from error
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{config} is no TOML: {error}.") from error
    except UnicodeDecodeError as error:
        raise BadSettings(f"{config} is no TOML: it is no UTF-8.") from error
    except OSError as error:
        raise BadSettings(f"{config} cannot be read: {error.strerror}.") from error
    _warn(tuple(strange(Settings)))
    return settings


@cache
def _warn(sentences: tuple[str, ...]) -> None:
    """Log each warning once."""
    for sentence in sentences:
        log.warning(sentence)


def _told(fault: Any) -> str:
    place = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        name = PREFIX + "__".join(map(str, fault["loc"])).upper()
        known = [one.removeprefix(PREFIX).lower().replace("__", ".") for one in names_of(Settings)]
        return f"{place} is no setting{meant(name.removeprefix(PREFIX).lower().replace('__', '.'), known)}".rstrip(".")
    return f"{place}: {fault['msg']}"
