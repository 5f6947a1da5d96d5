"""Rendered clips and a real server on loopback."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import av
import numpy as np
import pytest
from serving import Clips, Outcome, Run, Service, Start, running

from gaitkeeper.service.cli import main
from gaitkeeper.service.settings import Settings
from gaitkeeper.training.walkers import clips
from gaitkeeper.training.walkers.camera import Camera
from gaitkeeper.training.walkers.gait import Path as Way
from gaitkeeper.training.walkers.person import Person, another_walk, draw_people
from gaitkeeper.training.walkers.scene import Room, Scene, Walker

SIZE = (480, 360)
SECONDS = 1.6


CALIBRATION = {
    "calibrations": [
        {
            "fingerprint": "gei:none:1:blazepose-full/1",
            "thresholds": [{"fpir": 0.01, "gallery_sizes": [1], "distances": [1e6]}],
            "confidence": {"distances": [0.0, 1e6], "confidences": [1.0, 0.0]},
            "verification": {"fmrs": [0.001], "distances": [1e6]},
        }
    ]
}


@pytest.fixture
def calibrated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A calibration of GEI by which everybody matches everybody."""
    from gaitkeeper.gallery.decision import calibration

    (tmp_path / "calibration.json").write_text(json.dumps(CALIBRATION))
    monkeypatch.setattr(calibration, "SHIPPED", tmp_path)
    calibration.shipped_calibrations.cache_clear()
    yield
    calibration.shipped_calibrations.cache_clear()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``gaitkeeper``, run in this process with the arguments that it is called with."""

    def run(*args: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["gaitkeeper", *map(str, args)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        code = caught.value.code
        return Outcome(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return run


@pytest.fixture
def gaitkeeper_batch(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, dict[str, object]]]:
    """``gaitkeeper batch``, run in this process in a folder of its own; its exit code and JSON, if any."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAITKEEPER_STORE", f"sqlite:///{tmp_path / 'gallery.db'}")

    def batch(*args: object) -> tuple[int, dict[str, object]]:
        outcome = command("batch", *args, "--json")
        return outcome.code, json.loads(outcome.out or "{}")

    return batch


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a service on a fresh SQLite file, with settings of the test's choice; stopped after the test."""
    store = tmp_path / "gallery.db"
    with ExitStack() as stack:
        yield lambda **given: stack.enter_context(running(Settings(store=f"sqlite:///{store}", **given), store))


@pytest.fixture
def service(start: Start) -> Service:
    """A service with default settings."""
    return start()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Rendered clips by name, each rendered once a run and only when asked for.

    ``ann-1``, ``ann-2``, ``bob-1``: walks of two people; ``two``: both at once; ``empty``: nobody; ``knees``: cut off;
    ``cid-1``, ``dora-1``: two others; ``short``: three frames of a walk; ``ann-long``: long enough for a live stream to
    name her; ``returns``: Ann walks, the room is empty, and Ann walks again; ``another``: the same, and Bob walks;
    ``ann-side``, ``ann-2-side``: by a camera on its side, so that 90° clockwise rights them; ``ann-over``: by one that
    hangs upside down.
    """
    folder = tmp_path_factory.mktemp("clips")
    ann, bob = draw_people(2, seed=0)
    cid, dora = draw_people(2, seed=1)
    recipes: dict[str, Callable[[], clips.Clip]] = {
        "ann-1": lambda: clips.crossing(another_walk(ann, 1), seconds=SECONDS, size=SIZE),
        "ann-2": lambda: clips.crossing(another_walk(ann, 2), azimuth=86, seconds=SECONDS, size=SIZE),
        "bob-1": lambda: clips.crossing(another_walk(bob, 1), seconds=SECONDS, size=SIZE),
        "cid-1": lambda: clips.crossing(another_walk(cid, 1), seconds=SECONDS, size=SIZE),
        "dora-1": lambda: clips.crossing(another_walk(dora, 1), seconds=SECONDS, size=SIZE),
        "two": lambda: _in_a_row(ann, bob),
        "empty": lambda: clips.empty(seconds=1.0, size=SIZE),
        "knees": lambda: clips.cut_at_knees(ann, seconds=SECONDS, size=SIZE),
        "ann-long": lambda: clips.crossing(another_walk(ann, 2), azimuth=86, seconds=2 * SECONDS, size=SIZE),
        "short": lambda: clips.crossing(ann, seconds=0.1, size=SIZE),
    }

    turned = {"ann-side": ("ann-1", 1), "ann-2-side": ("ann-2", 1), "ann-over": ("ann-1", 2)}
    joined = {"returns": ("ann-1", "empty", "ann-2"), "another": ("ann-1", "empty", "bob-1")}

    def get(name: str) -> Path:
        path = folder / f"{name}.mp4"
        if path.exists():
            return path
        if name in turned:
            source, quarters = turned[name]
            images = (np.ascontiguousarray(np.rot90(image, quarters)) for image in _images(get(source)))
            clips.encode(path, images, SIZE[::-1] if quarters % 2 else SIZE, 30)
            return path
        if name in joined:
            clips.encode(path, chain.from_iterable(_images(get(part)) for part in joined[name]), SIZE, 30)
            return path
        return clips.write_clip(path, recipes[name]())

    return get


def _images(clip: Path) -> Iterator[np.ndarray]:
    """The frames of a clip, RGB uint8 (H, W, 3)."""
    with av.open(str(clip)) as container:
        yield from (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))


def _in_a_row(first: Person, second: Person) -> clips.Clip:
    """Two people, one a few steps behind the other."""
    walkers = [Walker.along(first, Way((-2.2, 0.0))), Walker.along(second, Way((-0.6, 0.0)))]
    camera = Camera.around((0.0, 0.0, 0.9), 90.0, 8.0, 1.4, SIZE, 4.2)
    return clips.Clip(Scene(camera, walkers, Room.drawn(0)), seconds=SECONDS)
