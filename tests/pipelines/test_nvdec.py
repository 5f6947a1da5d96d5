"""Decoding by the GPU's decoder, which a stand-in plays: who is asked, what reaches it, and what is believed of it."""

from __future__ import annotations

import json
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import pytest
from pydantic import ValidationError

from gaitkeeper.pipelines import decode, nvdec, sandbox_filter
from gaitkeeper.pipelines.errors import ClipError, DeadlineExceeded, NvdecUnavailable, TooLarge, Undecodable
from gaitkeeper.pipelines.nvdec import NvDecoder
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.pipelines.sandbox import Sandbox
from gaitkeeper.pipelines.sandbox_wire import PACKET
from gaitkeeper.pipelines.settings import PipelineSettings

pytestmark = pytest.mark.skipif(sandbox_filter.supported() is not None, reason=str(sandbox_filter.supported()))

STAND_IN = Path(__file__).with_name("nvdec_stand_in")


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


@pytest.fixture
def decoder(monkeypatch, sandbox):
    monkeypatch.syspath_prepend(STAND_IN)
    found = NvDecoder(PipelineSettings(nvdec=True))
    found._sandbox = sandbox  # started once for all tests
    yield found
    found.close()


def turned(path: Path) -> Path:
    """The same clip, to be shown turned by a quarter: the display matrix of its track header."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + 36] = struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 96 << 16, 0, 1 << 30)
    path.write_bytes(data)
    return path


def test_without_the_package_it_says_so_and_without_the_sandbox_it_is_no_setting():
    with pytest.raises(NvdecUnavailable, match="pip install PyNvVideoCodec"):
        Pipeline(PipelineSettings(nvdec=True))
    with pytest.raises(ValidationError, match="sandbox"):
        PipelineSettings(nvdec=True, sandbox=False)
    assert isinstance(Pipeline().decoder, Sandbox)


def test_where_the_package_finds_no_driver_it_says_what_that_said(monkeypatch, tmp_path, make_clip):
    (tmp_path / "PyNvVideoCodec.py").write_text("raise ImportError('libnvcuvid.so.1 is not there.')\n")
    monkeypatch.syspath_prepend(tmp_path)
    pipeline = Pipeline(PipelineSettings(nvdec=True))
    path = make_clip("a.mp4")
    with pytest.raises(NvdecUnavailable, match=r"here: libnvcuvid.so.1 is not there\.$"):
        next(pipeline.decoder.frames(path, pipeline.decoder.probe(path)))
    pipeline.close()


@pytest.mark.parametrize(
    ("name", "codec", "rate", "times"),
    [
        ("a.mp4", "libx264", 25, None),
        ("a.mov", "libx265", 25, None),
        ("a.mkv", "libx264", 25, [0, 33, 66, 180, 213, 246, 500, 533]),
        ("a.mp4", "libx264", 60, None),
        ("turned.mp4", "libx264", 25, None),
    ],
)
def test_pictures_and_times_are_those_of_the_sandbox(decoder, make_clip, name, codec, rate, times):
    path = make_clip(name, codec=codec, rate=rate, times=times)
    path = turned(path) if name == "turned.mp4" else path
    info = decoder.probe(path)
    assert (info.width, info.height) == ((96, 160) if name == "turned.mp4" else (160, 96))
    here, there = list(decode.frames(path, info)), list(decoder.frames(path, info))
    assert [(f.time, f.index) for f in there] == [(pytest.approx(f.time), f.index) for f in here]
    # Another library makes them RGB, so that colours differ by a little, most at their edges.
    assert all(np.abs(a.image.astype(int) - b.image).mean() < 4 for a, b in zip(here, there, strict=True))
    assert len(decoder._idle) == 1


def test_a_worker_is_kept_for_the_next_clip_and_ends_with_the_decoder(decoder, make_clip):
    path = make_clip("a.mp4")
    info = decoder.probe(path)
    with ThreadPoolExecutor(1) as thread:  # which is gone before the next clip comes
        assert len(thread.submit(lambda: list(decoder.frames(path, info))).result()) == 20
    [worker] = decoder._idle
    process = psutil.Process(worker._process.pid)
    assert len(list(decoder.frames(path, info))) == 20 and decoder._idle == [worker]
    decoder.close()
    assert not process.is_running()
    stream = decoder.frames(path, info)
    next(stream)
    stream.close()  # a clip that is given up leaves no worker that is in the middle of it
    assert decoder._idle == []


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4")])
def test_other_codecs_are_decoded_in_the_sandbox(decoder, make_clip, monkeypatch, name, codec):
    monkeypatch.setattr(nvdec, "Worker", None)
    path = make_clip(name, codec=codec)
    info = decoder.probe(path)
    assert all(
        np.array_equal(a.image, b.image)
        for a, b in zip(decoder.frames(path, info), decode.frames(path, info), strict=True)
    )


class Witness:
    """In a worker's place: keeps what it is sent."""

    def __init__(self, seen):
        self.seen = seen

    def decode(self, packets, info, max_pixels, deadline, patience):
        for packet in packets:
            self.seen.append(packet)
        yield from ()

    def close(self):
        pass


def test_what_reaches_the_worker_is_what_the_sandbox_took_out_of_the_container(decoder, make_clip, monkeypatch):
    seen = []
    monkeypatch.setattr(nvdec, "Worker", lambda _: Witness(seen))
    path = make_clip("a.mp4")
    with pytest.raises(Undecodable, match="No picture"):
        list(decoder.frames(path, decoder.probe(path)))
    expected = list(decode.packets(path, decode.probe(path)))
    assert [(p.data, p.time) for p in seen] == [(p.data, p.time) for p in expected] and len(seen) == 20
    assert all(p.data.startswith((b"\0\0\1", b"\0\0\0\1")) for p in seen)
    container = path.read_bytes()
    assert b"ftyp" in container and not any(b"ftyp" in p.data or b"moov" in p.data for p in seen)
    del seen[:]
    info = decoder.probe(path)
    for data in (b"", b"#EXTM3U\nfile:///etc/passwd", container[:900]):
        with pytest.raises(ClipError):
            list(decoder.frames(data, info))
    assert seen == []


@pytest.mark.parametrize(
    "packet",
    [
        PACKET.pack(9, 10, 0.0, 0, True),
        PACKET.pack(0, 10**8, 0.0, 0, True),
        PACKET.pack(0, 0, 0.0, 0, True),
        PACKET.pack(0, 9, float("nan"), 0, True),
    ],
)
def test_a_sandbox_that_was_taken_over_gets_nothing_past(decoder, make_clip, monkeypatch, packet):
    seen, path = [], make_clip("a.mp4")
    info = decoder.probe(path)
    layout = asdict(decode.layout(path, info, decoder.settings))
    said = iter([json.dumps({"layout": layout}).encode(), packet])
    monkeypatch.setattr(decoder._sandbox, "_receive", lambda *_: next(said))
    monkeypatch.setattr(nvdec, "Worker", lambda _: Witness(seen))
    with pytest.raises(Undecodable, match="made its decoder fail"):
        list(decoder.frames(path, info))
    assert seen == []


def test_more_packets_than_frames_are_allowed_are_too_many(monkeypatch, sandbox, make_clip):
    path = make_clip("a.mp4")
    info = sandbox.probe(path)
    monkeypatch.setattr(sandbox, "settings", PipelineSettings(max_frames=5))
    with pytest.raises(TooLarge, match="more than 5 frames"):
        list(sandbox.packets(path, info))


def test_a_worker_that_lies_dies_or_sticks_is_not_believed(decoder, make_clip, monkeypatch, tmp_path):
    path = make_clip("a.mp4")
    info = decoder.probe(path)
    real = (STAND_IN / "PyNvVideoCodec.py").read_text()
    for change, error in (
        (("return self._pts", "return 10**6"), Undecodable),  # a picture of no packet
        (("return [DecodedFrame", "import os; os._exit(3); return [DecodedFrame"), Undecodable),
        (("return [DecodedFrame", "import time; time.sleep(600); return [DecodedFrame"), DeadlineExceeded),
    ):
        assert change[0] in real
        (tmp_path / "PyNvVideoCodec.py").write_text(real.replace(*change))
        monkeypatch.syspath_prepend(tmp_path)
        deadline = time.monotonic() + 8 if error is DeadlineExceeded else None  # patient: it is to come
        with pytest.raises(error):
            list(decoder.frames(path, info, deadline))
        assert decoder._idle == []
        monkeypatch.undo()
        monkeypatch.syspath_prepend(STAND_IN)
