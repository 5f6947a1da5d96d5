"""``gaitkeeper dataset build``: what is written, dropped and reported, and going on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.service.cli import app
from gaitkeeper.training.datasets import open_dataset
from gaitkeeper.training.datasets.build import JOURNAL, REPORT, build_dataset
from gaitkeeper.training.errors import BadDataset


def grey_clip(path: Path, frames: int = 20) -> None:
    """A clip of an empty room."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), 90 + i, np.uint8), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Videos that give nothing, for four reasons; and files that are no videos."""
    root = tmp_path / "videos"
    grey_clip(root / "anna/nm-01/000.mp4")
    grey_clip(root / "anna/nm-01/090.mp4", frames=5)
    (root / "anna/nm-02").mkdir()
    (root / "anna/nm-02/000.mp4").write_bytes(b"no video at all")
    (root / "anna/nm-02/090.mp4").write_bytes(b"")
    (root / "anna/nm-02/notes.txt").write_text("skip me", encoding="utf-8")
    return root


def test_what_is_dropped_is_reported_with_the_reason(videos: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    report = build_dataset(videos, tmp_path / "out", on_progress=lambda *now: told.append(now))
    assert report.dropped == {"empty_upload": 1, "no_person": 1, "too_short": 1, "unsupported_media": 1}
    assert [outcome.video for outcome in report.outcomes] == [
        "anna/nm-01/000.mp4",
        "anna/nm-01/090.mp4",
        "anna/nm-02/000.mp4",
        "anna/nm-02/090.mp4",
    ]
    assert all(outcome.detail for outcome in report.outcomes)
    assert told[0] == (0, 4, "anna/nm-01/000.mp4")
    assert told[-1][:2] == (4, 4)
    assert json.loads((tmp_path / "out" / REPORT).read_text(encoding="utf-8")) == report.as_json()
    with pytest.raises(BadDataset):
        open_dataset("sequences", tmp_path / "out")


def test_nothing_is_processed_twice_unless_it_changed_or_is_retried(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert build_dataset(videos, out).processed == 4
    again = build_dataset(videos, out)
    assert again.processed == 0
    assert len(again.outcomes) == 4
    grey_clip(videos / "anna/nm-02/000.mp4")
    changed = build_dataset(videos, out)
    assert changed.processed == 1
    assert changed.dropped["no_person"] == 2
    assert build_dataset(videos, out, retry=True).processed == 4


def test_a_line_that_a_kill_cut_short_is_forgotten(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = build_dataset(videos, out)
    journal = out / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-40])
    repaired = build_dataset(videos, out)
    assert repaired.processed == 1
    assert repaired.outcomes == whole.outcomes
    assert build_dataset(videos, out).processed == 0


def test_one_folder_has_one_pipeline(videos: Path, tmp_path: Path) -> None:
    build_dataset(videos, tmp_path / "out")
    with pytest.raises(BadDataset, match="other settings"):
        build_dataset(videos, tmp_path / "out", pipeline=Pipeline(PipelineSettings(min_frames=30)))
    with pytest.raises(BadDataset, match="other settings"):
        build_dataset(videos, tmp_path / "out", heatmaps=False)


def test_no_videos_or_two_of_one_name_are_errors(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="No videos"):
        build_dataset(tmp_path, tmp_path / "out")
    for suffix in ("mp4", "mov"):
        grey_clip(tmp_path / f"videos/anna/nm-01/000.{suffix}")
    with pytest.raises(BadDataset, match="more than one suffix"):
        build_dataset(tmp_path / "videos", tmp_path / "out")


def test_the_command_prints_what_was_dropped(videos: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["dataset", "build", str(videos), str(tmp_path / "out")], env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "0 sequences, 0 frames, of 4 videos; 4 processed" in done.stdout
    assert "unsupported_media" in done.stdout
    done = CliRunner().invoke(app, ["dataset", "build", str(videos), str(tmp_path / "out"), "--json"])
    assert json.loads(done.stdout)["dropped"]["no_person"] == 1


def test_killed_and_resumed_it_ends_as_if_it_never_was(shared_data: Path, tmp_path: Path) -> None:
    """Two walkers' videos, one with two walkers, one empty; killed once the first sequence is there."""
    source, out = tmp_path / "videos", tmp_path / "out"
    for name, clip in (("a/nm-01/090", "hall-a"), ("bc/nm-01/090", "road-bc"), ("z/nm-01/090", "hall-a")):
        (source / name).parent.mkdir(parents=True)
        shutil.copy(shared_data / "videos" / f"{clip}.mp4", source / f"{name}.mp4")
    grey_clip(source / "a/nm-02/090.mp4")
    command = [sys.executable, "-m", "gaitkeeper", "dataset", "build", str(source), str(out)]
    child = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while not (out / "a/nm-01/090.gait").exists() and time.monotonic() < deadline and child.poll() is None:
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert (out / "a/nm-01/090.gait").exists()
    assert not (out / REPORT).exists()
    (out / "z/nm-01").mkdir(parents=True)
    (out / "z/nm-01/.090.gait.part").write_bytes(b"what a kill leaves in the middle of a write")

    report = build_dataset(source, out)

    assert report.processed in (3, 4)  # the kill may have come before the first video's line was written
    assert report.dropped == {"multiple_people": 1, "no_person": 1}
    dataset = open_dataset("sequences", out)
    assert [sample.key for sample in dataset] == ["a-nm-01-090", "z-nm-01-090"]
    first, last = (GaitSequence.load(out / f"{name}/nm-01/090.gait") for name in "az")
    assert first.equals(last)
    assert first.heatmaps is not None
    assert len(first) > 30
    assert report.outcomes[0].skipped == first.quality.skipped
    assert not list(out.rglob("*.part"))
