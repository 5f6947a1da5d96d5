"""Cameras that send pictures over HTTP; and what an address may not lead to."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any

import pytest
from serving import Clips
from streaming import jpegs

from gaitkeeper.pipelines.decode import Decoder
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.service.errors import SourceRefused, SourceUnavailable
from gaitkeeper.service.live.sources import shots_of
from gaitkeeper.service.settings import Settings

PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n/video\n#EXT-X-ENDLIST\n"


@contextmanager
def http_camera(pictures: list[bytes], password: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """A camera's address and the paths that it was asked for. It may ask for a password of the user "viewer"."""
    asked: list[str] = []
    expected = password and "Basic " + base64.b64encode(f"viewer:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if expected and self.headers.get("Authorization") != expected:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
            elif self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/video")
                self.end_headers()
            elif self.path == "/list.m3u8":
                self.send_response(200)
                self.send_header("Content-Type", "application/vnd.apple.mpegurl")
                self.end_headers()
                self.wfile.write(PLAYLIST)
            else:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for data in pictures:
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")

        def log_message(self, *_: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    pipeline = Pipeline(PipelineSettings())
    yield pipeline.decoder
    pipeline.close()


def test_pictures_over_http_come_as_they_were_sent(clip: Clips, decoder: Decoder) -> None:
    sent = [data for _, data in jpegs(clip("ann-1"))[:12]]
    with http_camera(sent) as (address, _):
        shots = list(islice(shots_of(f"{address}/video", Settings(live_sources=[f"{address}/video"]), decoder), 10))
    assert [shot.data for shot in shots] == sent[:10]
    assert {shot.codec for shot in shots} == {"jpeg"}
    times = [shot.t for shot in shots]
    assert times == sorted(times) and times[0] >= 0


def test_a_password_is_asked_for(clip: Clips, decoder: Decoder) -> None:
    sent = [data for _, data in jpegs(clip("ann-1"))[:3]]
    with http_camera(sent, "r/i:ght") as (address, _):
        settings = Settings(live_sources=[f"{address}/video"])
        for credentials in ("", "viewer:wrong@"):
            with pytest.raises(SourceRefused) as told:
                next(shots_of(f"{address}/video".replace("//", f"//{credentials}"), settings, decoder))
            assert "wrong" not in told.value.detail and told.value.__suppress_context__
        good = f"{address}/video".replace("//", "//viewer:r%2Fi%3Aght@")
        assert next(shots_of(good, settings, decoder)).data == sent[0]


def test_neither_redirects_nor_playlists_are_followed(clip: Clips, decoder: Decoder) -> None:
    sent = [data for _, data in jpegs(clip("ann-1"))[:3]]
    with http_camera(sent) as (address, asked):
        for path in ("/moved", "/list.m3u8"):
            with pytest.raises(SourceUnavailable):
                next(shots_of(f"{address}{path}", Settings(live_sources=[f"{address}{path}"]), decoder))
        assert "/video" not in asked
