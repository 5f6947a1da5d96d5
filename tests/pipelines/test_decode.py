"""Decoding real files: containers, codecs, rotation, time stamps, and everything that is refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest

from gaitkeeper.pipelines import errors
from gaitkeeper.pipelines.decode import frames, probe
from gaitkeeper.pipelines.settings import PipelineSettings

KINDS = [
    ("a.mp4", "libx264", "h264"),
    ("a.mov", "libx265", "hevc"),
    ("a.mkv", "libx264", "h264"),
    ("a.webm", "libvpx-vp9", "vp9"),
    ("a.avi", "mpeg4", "mpeg4"),
    ("b.mp4", "mpeg4", "mpeg4"),
]


@pytest.mark.parametrize(("name", "encoder", "codec"), KINDS)
def test_containers_and_codecs(make_clip, name, encoder, codec):
    path = make_clip(name, codec=encoder, count=20, rate=25)
    info = probe(path)
    assert (info.width, info.height, info.frames, info.codec) == (160, 96, 20, codec)
    assert info.rate == pytest.approx(25, rel=0.05)
    assert info.duration == pytest.approx(0.8, rel=0.05)
    seen = list(frames(path, info))
    assert [frame.index for frame in seen] == list(range(20))
    assert seen[0].time == 0
    assert np.diff([frame.time for frame in seen]) == pytest.approx(0.04, abs=0.002)
    assert seen[0].image[10, 10, 0] > 150 > seen[0].image[10, 10, 1]


@pytest.mark.parametrize("kind", ["path", "string", "bytes", "file"])
def test_sources(make_clip, kind):
    path = make_clip("a.mp4", count=5)
    source = {"path": path, "string": str(path), "bytes": path.read_bytes(), "file": io.BytesIO(path.read_bytes())}[
        kind
    ]
    assert len(list(frames(source))) == 5
    assert len(list(frames(source))) == 5  # a file is read from its start each time, and left open


def _rotate(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a display matrix into the track header, as phones do."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = (value * 65536 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("matrix", "size", "red", "green"),
    [
        ((0, 1, -1, 0), (96, 160), "top right", "bottom right"),  # shown turned clockwise
        ((0, -1, 1, 0), (96, 160), "bottom left", "top left"),  # counter-clockwise
        ((-1, 0, 0, -1), (160, 96), "bottom right", "bottom left"),  # upside down
    ],
)
def test_rotation_metadata_is_honoured(make_clip, matrix, size, red, green):
    path = make_clip("a.mp4", count=3)
    _rotate(path, matrix)
    info = probe(path)
    assert (info.width, info.height) == size
    image = next(iter(frames(path, info))).image
    assert image.shape[:2] == size[::-1]
    for place, channel in ((red, 0), (green, 1)):
        y = 12 if "top" in place else size[1] - 12
        x = 12 if "left" in place else size[0] - 12
        pixel = image[y, x].astype(int)
        assert pixel[channel] == pixel.max() > 150, (place, pixel)


def test_variable_rate_keeps_the_stamps(make_clip):
    times = [0, 33, 66, 180, 213, 246, 500, 533]
    seen = [frame.time for frame in frames(make_clip("a.mkv", times=times))]
    assert seen == pytest.approx(np.array(times) / 1000, abs=0.0015)


def test_sixty_hertz_become_thirty(make_clip):
    path = make_clip("a.mp4", count=60, rate=60)
    info = probe(path)
    assert info.rate == pytest.approx(60, rel=0.02)
    seen = list(frames(path, info))
    assert len(seen) in (30, 31)
    assert np.diff([frame.time for frame in seen]) == pytest.approx(1 / 30, abs=0.001)


def test_fifty_hertz_become_thirty_by_the_nearest_stamp(make_clip):
    seen = np.array([frame.time for frame in frames(make_clip("a.mp4", count=100, rate=50))])
    assert len(seen) == pytest.approx(60, abs=1)
    ticks = np.arange(60) / 30
    assert np.abs(seen[:, None] - ticks).min(0).max() <= 0.0101  # half a source frame


def test_thirty_six_hertz_and_below_are_kept_whole(make_clip):
    assert len(list(frames(make_clip("a.mp4", count=35, rate=35)))) == 35


def test_stamps_count_from_the_first_video_frame(make_clip):
    seen = [frame.time for frame in frames(make_clip("a.mkv", times=[700, 740, 780]))]
    assert seen == pytest.approx([0, 0.04, 0.08], abs=0.0015)


def _sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_empty():
    with pytest.raises(errors.EmptyUpload):
        probe(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"just some text, " * 50,
        b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        b"ffconcat version 1.0\nfile a.mp4\n",
        b"PK\x03\x04" * 40,
    ],
    ids=["text", "playlist", "concat", "zip"],
)
def test_not_a_video_by_content(tmp_path, data):
    path = tmp_path / "named.mp4"
    path.write_bytes(data)
    with pytest.raises(errors.UnsupportedMedia):
        probe(path)


def test_sound_only(tmp_path):
    with pytest.raises(errors.NoVideo):
        probe(_sound(tmp_path / "a.mp4"))


def test_codec_off_the_list(make_clip):
    with pytest.raises(errors.UnsupportedMedia, match="codec"):
        probe(make_clip("a.avi", codec="ffv1"))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_mp4_cut_short(make_clip, share):
    data = make_clip("a.mp4", count=60).read_bytes()
    with pytest.raises(errors.Undecodable):
        probe(data[: int(len(data) * share)])


@pytest.mark.parametrize("share", [0.6, 0.9])
def test_mp4_cut_short_with_its_index_first(make_clip, tmp_path, share):
    source, target = make_clip("a.mp4", count=60), tmp_path / "fast.mp4"
    with av.open(str(source)) as old, av.open(str(target), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    data = target.read_bytes()
    assert probe(data).frames == 60
    with pytest.raises(errors.Undecodable):
        probe(data[: int(len(data) * share)])


def test_damaged_pictures(make_clip):
    data = bytearray(make_clip("a.mp4", codec="mpeg4", count=60).read_bytes())
    start = data.index(b"mdat") + 8
    for at in np.random.default_rng(1).integers(start, start + len(data) // 2, 200):
        data[at] ^= 0xFF
    assert probe(bytes(data)).frames == 60
    with pytest.raises(errors.Undecodable):
        list(frames(bytes(data)))


def test_a_little_damage_costs_a_few_frames(make_clip):
    data = bytearray(make_clip("a.mp4", codec="mpeg4", count=60).read_bytes())
    start = data.index(b"mdat") + 8
    for at in np.random.default_rng(1).integers(start, start + len(data) // 2, 20):
        data[at] ^= 0xFF
    assert 45 <= len(list(frames(bytes(data)))) < 60


@pytest.mark.parametrize("limit", [{"max_pixels": 1000}, {"max_frames": 10}, {"max_seconds": 0.3}])
def test_limits(make_clip, limit):
    with pytest.raises(errors.TooLarge):
        probe(make_clip("a.mp4", count=20), PipelineSettings(**limit))
