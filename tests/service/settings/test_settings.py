"""Settings come from keywords, the environment and a TOML file, in that order, and are documented."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gaitkeeper.gallery.stores.redis.link import Address
from gaitkeeper.service.errors import BadSettings
from gaitkeeper.service.settings import Settings, load_settings
from gaitkeeper.service.settings.cameras import SECRET_PREFIX
from gaitkeeper.service.settings.names import OTHERS, names_of, strange

PAGE = Path(__file__).resolve().parents[3] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONFIG", "STORE", "PORT", "HOST", "NETWORK"):
        monkeypatch.delenv(f"GAITKEEPER_{name}", raising=False)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "gaitkeeper.toml"
    monkeypatch.setenv("GAITKEEPER_CONFIG", str(path))
    return path


def test_the_defaults_are_for_one_machine() -> None:
    settings = load_settings()
    assert (settings.host, settings.store, settings.network) == ("127.0.0.1", "sqlite:///gallery.db", None)


def test_keywords_go_before_the_environment_and_that_before_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text('port = 1\nqueue = 2\nstore = "sqlite:///file.db"\n[pipeline]\nmin_frames = 9\nthreads = 7\n')
    monkeypatch.setenv("GAITKEEPER_PORT", "3")
    monkeypatch.setenv("GAITKEEPER_STORE", "sqlite:///environment.db")
    monkeypatch.setenv("GAITKEEPER_PIPELINE__THREADS", "4")
    settings = load_settings(store="sqlite:///keyword.db")
    assert (settings.queue, settings.port, settings.store) == (2, 3, "sqlite:///keyword.db")
    assert (settings.pipeline.min_frames, settings.pipeline.threads) == (9, 4)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port = 70000", "port"),
        ("prot = 80", "prot"),
        ("[pipeline]\nthreads = 0", "pipeline.threads"),
        ("port =", "TOML"),
        ("prot = 80", r"prot is no setting: did you mean port\?"),
        ("[pipeline]\nthreds = 2", r"pipeline\.threds is no setting: did you mean pipeline\.threads\?"),
        ("webhooks = 3", "webhooks"),
    ],
)
def test_a_bad_file_is_told_of_in_a_sentence(config: Path, text: str, complaint: str) -> None:
    config.write_text(text)
    with pytest.raises(BadSettings, match=complaint):
        load_settings()


def test_a_file_that_cannot_be_read_is_told_of(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_bytes(b"port = 80 # caf\xe9\n")
    with pytest.raises(BadSettings, match="no UTF-8"):
        load_settings()
    config.unlink()
    config.symlink_to("/proc/self/mem")  # which is a file, and not even root may read it
    with pytest.raises(BadSettings, match="cannot be read"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PIPELINE", "7"),
        ("PIPELINE", "[{"),
        ("PIPELINE__THREADS", "many"),
        ("PIPELINE__THREDS", "2"),
        ("WEBHOOKS", "[{"),
        ("WEBHOOKS", "https://example.org"),
        ("CORS_ORIGINS", "[7"),
        ("CORS_ORIGINS", "[7]"),
        ("RAY__PERCEPTION", "{"),
        ("STORE", os.fsdecode(b"sqlite:///caf\xe9.db")),
    ],
)
def test_a_variable_that_cannot_be_read_is_a_bad_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"GAITKEEPER_{name}", value)
    with pytest.raises(BadSettings, match=name.partition("_")[0] + "|" + name.partition("_")[0].lower()) as caught:
        load_settings()
    assert caught.value.code == "bad_settings"


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("https://a.org", ["https://a.org"]),
        ("https://a.org, https://b.org,", ["https://a.org", "https://b.org"]),
        ('["https://a.org","https://b.org"]', ["https://a.org", "https://b.org"]),
        ("", []),
    ],
)
def test_a_list_is_taken_with_commas(
    config: Path, monkeypatch: pytest.MonkeyPatch, value: str, origins: list[str]
) -> None:
    config.write_text(f"live_sources = '{value}'")
    monkeypatch.setenv("GAITKEEPER_CORS_ORIGINS", value)
    settings = load_settings()
    assert settings.cors_origins == settings.live_sources == origins
    assert Settings(cors_origins=["https://a.org,b"]).cors_origins == ["https://a.org,b"]


def test_a_name_that_is_no_setting_is_named_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("PROT", "ZZZZZZZZ", "CACHE", "TEST_DATA"):
        monkeypatch.setenv(f"GAITKEEPER_{name}", "/x")
    for _ in range(2):
        load_settings()
    assert [record.getMessage() for record in caplog.records] == [
        "GAITKEEPER_PROT is no setting and is passed over: did you mean GAITKEEPER_PORT?",
        "GAITKEEPER_ZZZZZZZZ is no setting and is passed over.",
    ]


def test_every_name_that_is_used_anywhere_is_known() -> None:
    known = {*names_of(Settings), *OTHERS}
    folders = ("service", "gallery", "pipelines", "models", "training", "bench", "docker", "docs", "scripts")
    used = {
        name
        for folder in folders
        for path in (PAGE.parents[1] / folder).rglob("*")
        if path.is_file() and path.suffix in {".py", ".md", ".sh", ".yml", ".toml", ""}
        for name in re.findall(r"\bGAITKEEPER_[A-Z][A-Z_]*[A-Z]\b", path.read_text(errors="replace"))
    }
    used = {name for name in used if not name.startswith(SECRET_PREFIX)}
    assert used and used <= known, used - known


def test_the_variable_of_a_cameras_secret_is_no_misspelt_setting() -> None:
    assert strange(Settings, {"GAITKEEPER_SECRET_NORTH_DOOR": "viewer:hunter2", "GAITKEEPER_SECRET": "x"}) != []
    assert strange(Settings, {"GAITKEEPER_SECRET_NORTH_DOOR": "viewer:hunter2"}) == []


def test_a_file_that_is_not_there_is_not_passed_over(config: Path) -> None:
    with pytest.raises(BadSettings, match="no file"):
        load_settings()


@pytest.mark.parametrize(
    ("store", "opened"),
    [
        ("redis://db:6379/0", "redis://:p%40ss%2F%25word@db:6379/0"),
        ("rediss://me@[::1]:7000/3?replicas=2", "rediss://me:p%40ss%2F%25word@[::1]:7000/3?replicas=2"),
        ("redis+cluster://me@a,b:7000", "redis+cluster://me:p%40ss%2F%25word@a,b:7000"),
    ],
)
def test_the_stores_password_comes_from_a_file_and_is_shown_nowhere(tmp_path: Path, store: str, opened: str) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/%word\n")
    settings = load_settings(store=store, store_password_file=file)
    assert settings.store_url == opened
    assert Address.parse(settings.store_url).options["password"] == "p@ss/%word"
    assert "word" not in settings.store_shown and "word" not in repr(settings).replace("password", "")


def test_a_store_whose_password_is_in_its_url_is_shown_without(tmp_path: Path) -> None:
    settings = load_settings(store="redis://me:secret@db:7000/3?replicas=2")
    assert (settings.store_url, settings.store_shown) == (settings.store, "redis://db:7000/3")
    assert load_settings(store="sqlite:///a.db").store_shown == "sqlite:///a.db"


def test_a_password_that_cannot_be_used_is_told_of(tmp_path: Path) -> None:
    file = tmp_path / "password"
    with pytest.raises(BadSettings, match="no password"):
        load_settings(store="sqlite:///a.db", store_password_file=file)
    with pytest.raises(BadSettings, match="and one in store_password_file"):
        load_settings(store="redis://:secret@db", store_password_file=file)
    with pytest.raises(BadSettings, match="cannot be read"):
        _ = load_settings(store="redis://db", store_password_file=file).store_url
    file.write_text("\n")
    with pytest.raises(BadSettings, match="There is no password in"):
        _ = load_settings(store="redis://db", store_password_file=file).store_url


def test_every_setting_is_described_on_its_page() -> None:
    page = PAGE.read_text()
    scale = Settings().ray
    tables = {
        "": Settings(),
        "PIPELINE__": Settings().pipeline,
        "RAY__": scale,
        "RAY__PERCEPTION__": scale.perception,
        "RAY__EMBEDDING__": scale.embedding,
    }
    for table, values in tables.items():
        prefix = f"GAITKEEPER_{table}"
        for name, field in type(values).model_fields.items():
            assert field.description
            if f"{name.upper()}__" not in {path.removeprefix(table) for path in tables}:
                default = getattr(values, name) if table.startswith("RAY") else field.get_default()
                shown = "" if default is None else f"`{default}`"
                assert f"| `{prefix}{name.upper()}` | {shown} | {field.description} |" in page


def test_an_unknown_perception_backend_is_refused_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GAITKEEPER_PIPELINE__PERCEPTION", "openpose")
    with pytest.raises(BadSettings, match=r"'openpose'; known are blazepose, yolo"):
        load_settings()
