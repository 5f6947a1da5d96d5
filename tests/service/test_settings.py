"""Settings come from keywords, the environment and a TOML file, in that order, and are documented."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import BadSettings
from service.settings import Settings, load_settings

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


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
    ],
)
def test_a_bad_file_is_told_of_in_a_sentence(config: Path, text: str, complaint: str) -> None:
    config.write_text(text)
    with pytest.raises(BadSettings, match=complaint):
        load_settings()


def test_a_file_that_is_not_there_is_not_passed_over(config: Path) -> None:
    with pytest.raises(BadSettings, match="no file"):
        load_settings()


def test_every_setting_is_described_on_its_page() -> None:
    page = PAGE.read_text()
    for prefix, model in (("GAITKEEPER_", Settings), ("GAITKEEPER_PIPELINE__", type(Settings().pipeline))):
        for name, field in model.model_fields.items():
            assert field.description
            if name != "pipeline":
                default = field.get_default()
                shown = "" if default is None else f"`{default}`"
                assert f"| `{prefix}{name.upper()}` | {shown} | {field.description} |" in page
