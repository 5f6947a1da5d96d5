"""Clips that cannot be used: each is refused with its code and a sentence that helps, by both doors."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from serving import Clips, Service

from gaitkeeper.service.recognition import canary


def sound() -> bytes:
    """A second of a tone, in an mp4 without pictures."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44100)
        for start in range(0, 44100, 1024):
            tone = np.sin(np.arange(start, start + 1024) * 0.06).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44100, start, Fraction(1, 44100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def shortened(clip: Path) -> bytes:
    """The first 60 % of a file."""
    data = clip.read_bytes()
    return data[: len(data) * 6 // 10]


BAD: dict[str, tuple[Callable[[Clips], bytes], int, str, str]] = {
    "empty file": (lambda _: b"", 422, "empty_upload", "empty"),
    "text file": (lambda _: b"What is a walk without pictures?\n" * 40, 415, "unsupported_media", "send mp4"),
    "playlist": (lambda _: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", 415, "unsupported_media", "send mp4"),
    "audio only": (lambda _: sound(), 422, "no_video", "sound"),
    "one frame": (lambda _: canary.clip(frames=1), 422, "too_short", "1 frame;"),
    "truncated mp4": (lambda clip: shortened(clip("ann-1")), 422, "undecodable", "whole file|cut short"),
    "nobody": (lambda clip: clip("empty").read_bytes(), 422, "no_person", "whole body must be visible"),
    "cut off at the knees": (lambda clip: clip("knees").read_bytes(), 422, "cut_off", "head to feet"),
    "a walk of three frames": (lambda clip: clip("short").read_bytes(), 422, "too_short", "3 frames"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_clip_is_refused_with_a_sentence(service: Service, clip: Clips, what: str) -> None:
    make, status, code, sentence = BAD[what]
    data = make(clip)
    for path in ("/enroll", "/identify"):
        files = {"clip": ("walk.mp4", data)}
        fields = {"subject": "ann"} if path == "/enroll" else {}
        reply = httpx.post(service.url + path, data=fields, files=files, timeout=60)
        document = reply.json()
        assert (reply.status_code, document["code"]) == (status, code), document
        assert reply.headers["content-type"] == "application/problem+json"
        assert any(part in document["detail"] for part in sentence.split("|")), document
        assert "Traceback" not in reply.text and "/tmp" not in reply.text
    assert service.client.subjects().subjects == []


def test_the_service_goes_on_after_bad_clips(service: Service, clip: Clips) -> None:
    for data in (b"", b"text", shortened(clip("ann-1"))):
        httpx.post(f"{service.url}/identify", files={"clip": ("walk.mp4", data)}, timeout=60)
    assert service.client.enroll(clip("ann-1"), "ann").template.subject == "ann"
