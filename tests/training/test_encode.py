"""Pictures in an H.264 file."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from gaitkeeper.training.bodies.encode import encode


def pictures(count: int = 12, seed: int = 0) -> list[np.ndarray]:
    """A bright block that moves over smooth ground."""
    ground = np.linspace(40, 120, 96).astype(np.uint8)[None, :, None]
    images = [np.broadcast_to(ground, (64, 96, 3)).copy() for _ in range(count)]
    for i, image in enumerate(images):
        image[20:40, 4 * i + seed : 4 * i + seed + 16] = (200, 180, 90)
    return images


def decode(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [f.to_ndarray(format="rgb24") for f in frames], [float(f.pts * f.time_base) for f in frames]


def test_a_file_decodes_to_its_pictures(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", pictures(), (96, 64), 30)
    images, times = decode(tmp_path / "a.mp4")
    np.testing.assert_allclose(times, np.arange(12) / 30, atol=1e-6)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.duration == pytest.approx(12e6 / 30, rel=0.01)
    for given, found in zip(pictures(), images, strict=True):
        assert found.shape == given.shape and np.abs(found.astype(int) - given.astype(int)).mean() < 4


def test_the_same_pictures_make_the_same_bytes_and_more_compression_fewer(tmp_path: Path) -> None:
    for name, seed, crf in (("a", 0, 20), ("b", 0, 20), ("c", 5, 20), ("d", 0, 40)):
        encode(tmp_path / f"{name}.mp4", pictures(seed=seed), (96, 64), 30, crf=crf)
    one, again, other, small = ((tmp_path / f"{name}.mp4").read_bytes() for name in "abcd")
    assert one == again != other and len(small) < len(one)


def test_a_repeated_clip_has_no_seam(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", pictures(), (96, 64), 4, repeat=3)
    images, times = decode(tmp_path / "a.mp4")
    assert len(images) == 36
    np.testing.assert_allclose(np.diff(times), 0.25, atol=1e-6)
    for i in (0, 5, 11):
        assert np.array_equal(images[i], images[i + 12]) and np.array_equal(images[i], images[i + 24])


def test_pictures_of_another_size_are_scaled(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", pictures(2), (48, 32), 30)
    assert decode(tmp_path / "a.mp4")[0][0].shape == (32, 48, 3)
