"""Clips of walkers: what the recipes promise, and files that decode."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from gaitkeeper.training.walkers.cli import app
from gaitkeeper.training.walkers.clips import (
    Clip,
    crossing,
    cut_at_knees,
    empty,
    gallery,
    pacing,
    two_crossing,
    write_clip,
)
from gaitkeeper.training.walkers.person import draw_person

SMALL = (212, 120)


def sampled(clip: Clip, fps: int = 3) -> Clip:
    """The same clip at a lower frame rate: what holds throughout can be checked on fewer frames."""
    return replace(clip, fps=fps)


def decode(path: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
        return [f.to_ndarray(format="rgb24") for f in frames], [float(f.pts * f.time_base) for f in frames]


def test_clip_decodes_to_what_was_rendered(tmp_path: Path) -> None:
    clip = crossing(1, seconds=1.0, size=SMALL, seed=3)
    seen: list[tuple[int, int]] = []
    path = write_clip(tmp_path / "walk.mp4", clip, progress=lambda done, total: seen.append((done, total)))
    images, times = decode(path)
    assert seen == [(i + 1, 30) for i in range(30)]
    assert len(images) == 30 and images[0].shape == (120, 212, 3)
    np.testing.assert_allclose(times, np.arange(30) / 30, atol=1e-6)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.duration == pytest.approx(1e6, rel=0.01)
    for frame, image in list(zip(clip.frames(), images, strict=True))[::10]:
        assert np.abs(frame.image.astype(int) - image.astype(int)).mean() < 4


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    clips = [crossing(seed, seconds=0.4, size=SMALL, seed=seed) for seed in (1, 1, 2)]
    one, again, other = (write_clip(tmp_path / f"{i}.mp4", c).read_bytes() for i, c in enumerate(clips))
    assert one == again != other


@pytest.mark.parametrize("azimuth", [90.0, 60.0, 20.0, 0.0, 135.0, 180.0, 250.0])
@pytest.mark.parametrize("size", [SMALL, (160, 120)])
def test_crossing_keeps_the_walker_in_full_view(azimuth: float, size: tuple[int, int]) -> None:
    for frame in sampled(crossing(2, azimuth=azimuth, seconds=4.0, size=size, seed=1)).frames():
        mask = frame.people[0].mask
        assert mask.sum() > 150
        assert not (mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any())


def test_two_crossing_hides_one_for_a_while_and_shows_both_before_and_after() -> None:
    frames = list(sampled(two_crossing(size=SMALL), fps=10).frames())
    hidden = [1 - f.people[1].mask.sum() / f.people[1].whole.sum() for f in frames]
    assert hidden[0] == hidden[-1] == 0
    assert max(hidden) > 0.5
    first = [f.people[0].joints[:, 0].mean() for f in frames]
    second = [f.people[1].joints[:, 0].mean() for f in frames]
    assert (first[0] - second[0]) * (first[-1] - second[-1]) < 0


@pytest.mark.parametrize("seed", [0, 5])
def test_cut_at_knees_never_shows_a_knee(seed: int) -> None:
    for frame in sampled(cut_at_knees(seed, size=SMALL), fps=8).frames():
        truth = frame.people[0]
        assert truth.mask[-1].any()
        assert (truth.joints[13:, 1] > SMALL[1]).all()
        assert (truth.joints[:13, 1] < SMALL[1]).all() and (truth.joints[:13, 1] > 0).all()


def test_empty_shows_nobody_and_holds_still(tmp_path: Path) -> None:
    clip = empty(seconds=0.5, size=SMALL)
    assert all(frame.people == () for frame in clip.frames())
    images, _ = decode(write_clip(tmp_path / "empty.mp4", clip))
    assert np.abs(images[0].astype(int) - images[-1].astype(int)).mean() < 3


def test_pacing_repeats_its_loop_without_a_seam(tmp_path: Path) -> None:
    clip = pacing(1, seconds=30.0, size=SMALL, fps=4)
    assert (clip.seconds, clip.repeat) == (10.0, 3)
    images, times = decode(write_clip(tmp_path / "pacing.mp4", clip))
    assert len(images) == 120
    np.testing.assert_allclose(np.diff(times), 0.25, atol=1e-6)
    for i in (0, 13, 39):
        assert np.array_equal(images[i], images[i + 40]) and np.array_equal(images[i], images[i + 80])
    frames = list(clip.frames())
    centres = [f.people[0].joints[11:13, 0].mean() for f in frames]
    assert (np.diff(centres[:18]) * np.diff(centres[20:38]) < 0).all()  # there, then back
    shown = [f.people[0].mask.any() for f in frames]
    assert not (shown[0] or shown[20]) and any(shown[:20]) and any(shown[20:])


def test_pacing_refuses_a_loop_too_short_to_leave_the_picture() -> None:
    with pytest.raises(ValueError, match="too short"):
        pacing(1, loop=4.0)


def test_gallery_has_two_walks_of_everyone_and_the_same_room() -> None:
    clips = dict(gallery(3, seconds=2.0, size=SMALL, seed=5))
    assert list(clips) == [f"person-{n}-{take}" for n in (1, 2, 3) for take in ("gallery", "probe")]
    people = {name: clip.scene.walkers[0].person for name, clip in clips.items()}
    for n in (1, 2, 3):
        enrolled, probe = people[f"person-{n}-gallery"], people[f"person-{n}-probe"]
        assert enrolled.build == probe.build and enrolled.outfit == probe.outfit
        assert enrolled.gait != probe.gait
        cameras = [clips[f"person-{n}-{take}"].scene.camera for take in ("gallery", "probe")]
        assert cameras[0] != cameras[1]
    assert len({p.build for p in people.values()}) == 3
    assert len({c.scene.room for c in clips.values()}) == 1


def test_command_writes_the_clips(tmp_path: Path) -> None:
    out = tmp_path / "clips"
    result = CliRunner().invoke(app, ["clips", str(out), "--people", "1", "--seconds", "1", "--size", "160x120"])
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == ["person-1-gallery.mp4", "person-1-probe.mp4"]
    images, _ = decode(out / "person-1-probe.mp4")
    assert len(images) == 30 and images[0].shape == (120, 160, 3)


@pytest.mark.parametrize("size", ["640", "641x480", "axb", "10x10"])
def test_command_refuses_a_bad_size(tmp_path: Path, size: str) -> None:
    result = CliRunner().invoke(app, ["clips", str(tmp_path), "--size", size])
    assert result.exit_code == 2
    assert "is not a size" in result.output


def test_a_number_stands_for_the_person_with_that_seed() -> None:
    assert crossing(4).scene.walkers[0].person == draw_person(4)
