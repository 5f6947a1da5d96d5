"""Single pictures of a live stream: the same from a locked-up decoder, and none that breaks anything."""

from __future__ import annotations

import os
import signal
import socket
import struct
from contextlib import contextmanager

import av
import cv2
import numpy as np
import psutil
import pytest
from av.bitstream import BitStreamFilterContext

from gaitkeeper.pipelines import sandbox_filter
from gaitkeeper.pipelines.decode import InProcess
from gaitkeeper.pipelines.errors import TooLarge, Undecodable
from gaitkeeper.pipelines.sandbox import Channel, Sandbox
from gaitkeeper.pipelines.sandbox_wire import SHAPE
from gaitkeeper.pipelines.settings import PipelineSettings

pytestmark = pytest.mark.skipif(sandbox_filter.supported() is not None, reason=str(sandbox_filter.supported()))

PIXELS, BYTES = 200 * 200, 100_000


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


@pytest.fixture(params=["sandbox", "in process"])
def decoder(request, sandbox):
    """Makes the decoder of a stream."""
    made = []

    def make(codec):
        box = sandbox if request.param == "sandbox" else InProcess(PipelineSettings())
        made.append(box.pictures(codec, PIXELS, BYTES))
        return made[-1]

    yield make
    for one in made:
        one.close()


def jpeg(seed=0, width=160, height=96):
    rng = np.random.default_rng(seed)
    picture = np.repeat(np.repeat(rng.integers(0, 255, (height // 8, width // 8, 3), np.uint8), 8, 0), 8, 1)
    return cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes(), picture


def access_units(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        annex_b = BitStreamFilterContext("h264_mp4toannexb", stream)
        packets = [p for packet in container.demux(stream) for p in annex_b.filter(packet if packet.size else None)]
        return [bytes(packet) for packet in packets]


def test_jpeg_files_become_pictures(decoder):
    pictures = decoder("jpeg")
    for number in range(3):
        data, original = jpeg(number)
        [picture] = pictures.decode(data, number)
        assert picture.number == number and picture.image.shape == (96, 160, 3)
        assert np.abs(picture.image.astype(int) - original).mean() < 12
    assert pictures.decode(jpeg(9, 200, 80)[0], 9)[0].image.shape == (80, 200, 3)


def test_access_units_become_the_clips_pictures(decoder, make_clip):
    clip = make_clip("a.mp4", count=30)
    pictures, found = decoder("h264"), {}
    units = access_units(clip)
    for number, unit in enumerate([*units, b""]):
        found |= {picture.number: picture.image for picture in pictures.decode(unit, number)}
    with av.open(str(clip)) as container:
        expected = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(found) >= len(expected) - 1  # a decoder that does not know yet how far frames are out of order loses one
    for image in found.values():
        assert any(np.array_equal(image, one) for one in expected)


@pytest.mark.parametrize("codec", ["jpeg", "h264"])
def test_rubbish_is_undecodable_and_what_follows_is_not(decoder, make_clip, codec):
    good = jpeg()[0] if codec == "jpeg" else access_units(make_clip("a.mp4", count=3))[0]
    pictures = decoder(codec)
    for number, data in enumerate([b"\0", good[:40], b"\xff\xd8" + bytes(50), os.urandom(300), b"\0\0\0\1\x65" * 20]):
        with pytest.raises(Undecodable):
            pictures.decode(data, number)
    assert pictures.decode(good, 9) or pictures.decode(b"", 10)


def test_large_pictures_are_refused_and_huge_ones_not_even_begun(decoder):
    with pytest.raises(TooLarge, match="240 × 240"):
        decoder("jpeg").decode(jpeg(0, 240, 240)[0], 0)
    data = bytearray(jpeg()[0])
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    with pytest.raises(Undecodable):
        decoder("jpeg").decode(bytes(data), 0)


def test_a_message_has_no_more_bytes_than_it_may(sandbox):
    pictures = sandbox.pictures("jpeg", PIXELS, BYTES)
    with pytest.raises(TooLarge):
        pictures.decode(bytes(BYTES + 1), 0)


def decoders(sandbox):
    return [child for child in psutil.Process(sandbox.pid).children() if child.status() != psutil.STATUS_ZOMBIE]


def test_a_dead_decoder_is_replaced_but_not_for_ever(sandbox):
    pictures, (data, _) = sandbox.pictures("jpeg", PIXELS, BYTES), jpeg()
    for number in range(3):
        assert len(pictures.decode(data, number)) == 1
        os.kill(decoders(sandbox)[0].pid, signal.SIGKILL)
        with pytest.raises(Undecodable):
            pictures.decode(data, number)
    assert pictures.broken
    with pytest.raises(Undecodable):
        pictures.decode(data, 9)


def test_it_ends_with_its_stream(sandbox):
    pictures = sandbox.pictures("jpeg", PIXELS, BYTES)
    pictures.decode(jpeg()[0], 0)
    [fork] = decoders(sandbox)
    pictures.close()
    psutil.wait_procs([fork], timeout=120)
    assert not decoders(sandbox)


@pytest.mark.parametrize(
    "lie",
    [
        SHAPE.pack(65_535, 65_535, 0),
        SHAPE.pack(0, 0, 0),
        b"[]",
        b"no JSON",
        b"",
    ],
)
def test_a_decoder_that_lies_is_not_believed(sandbox, monkeypatch, lie):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    @contextmanager
    def intruder(job, descriptors):
        with theirs:
            theirs.send(lie) if lie else theirs.shutdown(socket.SHUT_WR)
            yield Channel(ours, os.getpid())

    monkeypatch.setattr(sandbox, "forked", intruder)
    pictures = sandbox.pictures("jpeg", PIXELS, BYTES)
    with ours, pytest.raises(Undecodable):
        pictures.decode(jpeg()[0], 0)


@pytest.mark.parametrize(("sent", "number"), [(8, 2), (40, 10**6)])
def test_a_picture_after_another_cannot_go_on_for_ever(sandbox, monkeypatch, sent, number):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    @contextmanager
    def intruder(job, descriptors):
        with theirs:
            for one in range(sent):
                theirs.send(SHAPE.pack(8, 8, one))
            theirs.send(b"{}")
            yield Channel(ours, os.getpid())

    monkeypatch.setattr(sandbox, "forked", intruder)
    pictures = sandbox.pictures("jpeg", PIXELS, BYTES)
    with ours, pytest.raises(Undecodable):
        pictures.decode(jpeg()[0], number)
