"""Pictures that repeat the one before: found by the same rule in files, packets and live pictures."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from gaitkeeper.pipelines import quality, sandbox_filter
from gaitkeeper.pipelines.decode import Frame, InProcess, probe
from gaitkeeper.pipelines.nvdec import NvDecoder
from gaitkeeper.pipelines.repeats import HELD, Repeats, marked
from gaitkeeper.pipelines.sandbox import Sandbox
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.thinning import Thinned


def walked(index: int, contrast: int = 90) -> np.ndarray:
    """A dark bar that walks over a textured floor, six pixels a picture."""
    rows, columns = np.mgrid[:240, :320]
    image = np.repeat((120 + (rows * 7 + columns * 13) % 23)[..., None], 3, axis=2).astype(np.uint8)
    left = 10 + 6 * index % 280
    image[60:200, left : left + 24] -= np.uint8(contrast)
    return image


def flags(images: list[np.ndarray], rate: float = 30.0) -> list[bool]:
    repeats = Repeats()
    return [repeats.repeated(image, i / rate) for i, image in enumerate(images)]


def stored(times: int, count: int = 20, codec: str = "libx264", crf: str = "23", kind: str = "mp4") -> bytes:
    """A walk of so many pictures, each stored several times over, at 30 Hz."""
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=30, options={"crf": crf} if codec != "mpeg4" else {})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for index in range(count):
            for _ in range(times):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(walked(index), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def test_what_moves_repeats_nothing_and_its_copies_do():
    assert not any(flags([walked(i) for i in range(40)]))
    assert not any(flags([walked(i, contrast=12) for i in range(40)]))
    thrice = flags([walked(i // 3) for i in range(60)])
    assert thrice == [i % 3 != 0 for i in range(60)]


def test_noise_that_is_everywhere_does_not_make_a_picture_a_repeat():
    rng = np.random.default_rng(0)
    noisy = [np.clip(walked(i) + rng.normal(0, 3, (240, 320, 1)), 0, 255).astype(np.uint8) for i in range(40)]
    assert not any(flags(noisy))


@pytest.mark.parametrize(("every", "contrast"), [(30, 20), (8, 60)])
def test_a_light_that_blinks_does_not_hide_who_walks(every, contrast):
    images = [walked(i, contrast) for i in range(60)]
    for i in range(0, 60, every):
        images[i][:40, :40] = 255
    assert not any(flags(images))


def test_a_still_room_is_looked_at_now_and_then():
    taken = [i / 30 for i, repeated in enumerate(flags([walked(0)] * 90)) if not repeated]
    assert np.diff(taken) == pytest.approx(HELD, abs=1 / 30)


def test_another_size_and_a_clock_that_runs_back_are_new():
    repeats = Repeats()
    assert not repeats.repeated(walked(0), 0.0)
    assert repeats.repeated(walked(0), 0.03)
    assert not repeats.repeated(walked(0)[:200], 0.06)
    assert not repeats.repeated(walked(0)[:200], 0.01)
    assert not repeats.repeated(walked(0)[:7, :5], 0.02)


@pytest.mark.parametrize(
    ("codec", "crf", "kind"), [("libx264", "23", "mp4"), ("libx264", "35", "mp4"), ("mpeg4", "", "avi")]
)
@pytest.mark.parametrize("times", [2, 3, 6])
def test_8_a_padded_file_has_the_rate_of_its_distinct_pictures(times, codec, crf, kind):
    data = stored(times, codec=codec, crf=crf, kind=kind)
    decoder = InProcess(PipelineSettings())
    info = decoder.probe(data)
    found = list(marked(decoder.frames(data, info)))
    assert (info.rate, len(found)) == (pytest.approx(30), 20 * times)
    # Before three changes are known, what a coder changes in a copy is taken for new.
    steady = np.array([frame.time for frame in found if frame.index >= 4 * times and not frame.repeated])
    assert quality.rate(steady) == pytest.approx(30 / times, rel=0.05)


def test_8_every_decoder_hands_over_the_same_distinct_pictures(monkeypatch):
    if reason := sandbox_filter.supported():
        pytest.skip(reason)
    monkeypatch.syspath_prepend(Path(__file__).with_name("nvdec_stand_in"))
    settings, data = PipelineSettings(), stored(3)
    seen = []
    for decoder in (InProcess(settings), Sandbox(settings), NvDecoder(settings)):
        info = decoder.probe(data)
        seen.append([(f.index, round(f.time, 6), f.repeated) for f in marked(decoder.frames(data, info))])
        decoder.close()
    assert seen[0] == seen[1] == seen[2]
    assert sum(not repeated for _, _, repeated in seen[0]) < 30


def test_a_new_recording_begins_with_a_new_picture():
    frames = (Frame(walked(0), i / 30, i, segment=i // 3) for i in range(6))
    assert [frame.index for frame in marked(frames) if not frame.repeated] == [0, 3]


@pytest.mark.parametrize(("steps", "hertz"), [([1, 2], 20.0), ([2, 3], 12.0), ([1], 30.0), ([3], 10.0)])
def test_the_rate_of_uneven_steps_is_that_of_several(steps, hertz):
    times = np.cumsum(np.tile(steps, 12)) / 30
    assert quality.rate(times) == pytest.approx(hertz, rel=0.01)
    assert quality.rate(times[:1]) == 0


@pytest.mark.parametrize(("rate", "kept"), [(12.5, 38), (8.0, 24), (5.0, 15), (40.0, 90)])
def test_a_clip_is_thinned_as_a_slower_camera_would_have_filmed_it(rate, kept):
    data = stored(1, count=90)
    decoder = Thinned(InProcess(PipelineSettings()), rate)
    info = decoder.probe(data)
    assert info == replace(probe(data), rate=min(30.0, rate)) or info.rate == pytest.approx(30, abs=0.01)
    found = list(decoder.frames(data, info))
    assert len(found) == pytest.approx(kept, abs=1)
    assert quality.rate(np.array([frame.time for frame in found])) == pytest.approx(min(rate, 30), rel=0.06)
    decoder.close()
