"""Clips of rendered people and a real server on loopback."""

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
from gaitkeeper.training.bodies.encode import encode

SIZE = (480, 360)

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
def clip(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """Clips by name; those made of others are made once a run and only when asked for.

    ``ann-1``, ``ann-2``, ``bob-1``: walks of two people; ``two``: both at once; ``empty``: nobody; ``knees``: cut off;
    ``cid-1``, ``dora-1``: two others; ``short``: three frames of a walk; ``ann-long``: long enough for a live stream to
    name her; ``returns``: Ann walks, the room is empty, and Ann walks again; ``another``: the same, and Bob walks;
    ``ann-side``, ``ann-2-side``: by a camera on its side, so that 90° clockwise rights them; ``ann-over``: by one that
    hangs upside down.
    """
    folder = tmp_path_factory.mktemp("clips")
    turned = {"ann-side": ("ann-1", 1), "ann-2-side": ("ann-2", 1), "ann-over": ("ann-1", 2)}
    joined = {"returns": ("ann-1", "empty", "ann-2"), "another": ("ann-1", "empty", "bob-1")}

    def get(name: str) -> Path:
        path = folder / f"{name}.mp4"
        if path.exists():
            return path
        if name in turned:
            source, quarters = turned[name]
            images = (np.ascontiguousarray(np.rot90(image, quarters)) for image in _images(get(source)))
            encode(path, images, SIZE[::-1] if quarters % 2 else SIZE, 30)
            return path
        if name in joined:
            encode(path, chain.from_iterable(_images(get(part)) for part in joined[name]), SIZE, 30)
            return path
        return clips / path.name

    return get


def _images(clip: Path) -> Iterator[np.ndarray]:
    """The frames of a clip, RGB uint8 (H, W, 3)."""
    with av.open(str(clip)) as container:
        yield from (frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
