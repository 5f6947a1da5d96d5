"""Archives in a bucket, of a server on this machine that speaks S3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from serving import Clips

from gaitkeeper.service.batch.archive import archive_at
from gaitkeeper.service.errors import NoArchive

fs = pytest.importorskip("pyarrow.fs", reason="pyarrow is not installed: pip install 'gaitkeeper-id[ray]'")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Host and port."""
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"{host}:{port}"
    running.stop()


@pytest.fixture
def place(server: str, clip: Clips, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a folder of two people and of what is no clip; the credentials are in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = fs.S3FileSystem(endpoint_override=server, scheme="http", region="eu-west-1", allow_bucket_creation=True)
    bucket.create_dir("clips")
    files = {
        "2026/ann/1.mp4": "ann-1",
        "2026/bob/deep er/1.mp4": "bob-1",
        "2026/.part/1.mp4": "ann-2",
        "1999/x.mp4": "ann-2",
    }
    for name, source in files.items():
        with bucket.open_output_stream(f"clips/{name}") as stream:
            stream.write(clip(source).read_bytes())
    with bucket.open_output_stream("clips/2026/ann/notes.txt") as stream:
        stream.write(b"not a clip")
    yield "s3://clips/2026?" + urlencode({"endpoint_override": server, "scheme": "http", "region": "eu-west-1"})
    bucket.delete_dir_contents("clips")


def test_a_bucket_is_enrolled_once_and_then_identified(
    gaitkeeper_batch: Callable[..., tuple[int, dict[str, object]]], place: str, tmp_path: Path
) -> None:
    code, report = gaitkeeper_batch("enroll", place, "--workers", 1)
    assert (code, report["clips"], report["done"], report["failed"]) == (0, 2, 2, [])
    code, report = gaitkeeper_batch("enroll", place, "--workers", 1)
    assert (code, report["done"], report["earlier"]) == (0, 2, 2)
    code, report = gaitkeeper_batch("identify", place, "--workers", 1, "--top-k", 1)
    assert (code, report["done"], report["failed"]) == (0, 2, [])
    lines = [json.loads(text) for text in (tmp_path / "identified.jsonl").read_text().splitlines()[1:]]
    found = {line["name"]: line["people"][0]["candidates"][0]["subject"] for line in lines}
    assert found == {"ann/1.mp4": "ann", "bob/deep er/1.mp4": "bob"}


def test_a_bucket_that_is_not_there_is_told_of(
    gaitkeeper_batch: Callable[..., tuple[int, dict[str, object]]], place: str
) -> None:
    lost = place.replace("clips", "lost")
    assert gaitkeeper_batch("enroll", lost) == (2, {})
    with pytest.raises(NoArchive, match="cannot be listed"):
        list(archive_at(lost).items())
    with pytest.raises(NoArchive):
        list(archive_at(place.replace("2026", "2027")).items())
