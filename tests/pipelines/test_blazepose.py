"""The embedded perception looks by one thread or by several, as what else is looked at has it, and sees the same."""

from __future__ import annotations

import gc
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import av
import numpy as np
import pytest

from gaitkeeper.pipelines.perception import blazepose
from gaitkeeper.pipelines.perception.blazepose import Landmarker, Look, Region
from gaitkeeper.pipelines.perception.watcher import BlazePose
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.service.operations.demo import CLIPS

Picture = tuple[np.ndarray, Region]


@pytest.fixture(scope="module")
def picture() -> Picture:
    """Somebody, and where."""
    with av.open(str(CLIPS / "person-1-gallery.mp4")) as container:
        image = next(islice(container.decode(video=0), 15, None)).to_ndarray(format="rgb24")
    [person] = BlazePose(PipelineSettings()).watch().see(image, 0.0)
    x1, y1, x2, y2 = person.box.tolist()
    return image, Region((x1 + x2) / 2, (y1 + y2) / 2, 1.3 * (y2 - y1))


@pytest.fixture
def by(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Threads of every look, in turn."""
    seen: list[int] = []
    look = Landmarker.__call__

    def noted(self: Landmarker, image: np.ndarray, region: Region) -> Look:
        seen.append(self._model._threads)
        return look(self, image, region)

    monkeypatch.setattr(Landmarker, "__call__", noted)
    return seen


def same(a: Look, b: Look) -> bool:
    assert a.person is not None and b.person is not None
    fields = ("box", "mask", "joints", "heatmaps")
    return (a.presence, a.next_region) == (b.presence, b.next_region) and all(
        np.array_equal(getattr(a.person, name), getattr(b.person, name)) for name in fields
    )


def test_a_lone_look_is_shared_by_all_threads_and_several_have_one_each(picture: Picture, by: list[int]) -> None:
    image, region = picture
    backend = BlazePose(PipelineSettings(threads=2))
    (alone,) = backend.look(image, [region])
    assert by == [2] and backend.look(image, []) == []
    first, second = backend.look(image, [region, region])
    assert by == [2, 1, 1]
    assert same(alone, first) and same(first, second)


def test_two_clips_do_not_both_take_all_threads(
    picture: Picture, by: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    image, region = picture
    backend = BlazePose(PipelineSettings(threads=2))
    held, go_on = threading.Event(), threading.Event()
    run = backend._quick._model.__call__

    def slow(pixels: np.ndarray) -> object:
        held.set()
        assert go_on.wait(60)
        return run(pixels)

    monkeypatch.setattr(backend._quick, "_model", slow)
    slow._threads = 2  # type: ignore[attr-defined]
    with ThreadPoolExecutor(1) as other:
        wide = other.submit(backend.look, image, [region])
        assert held.wait(60)
        (narrow,) = backend.look(image, [region])
        go_on.set()
        assert by == [2, 1] and same(wide.result()[0], narrow)
    assert backend.look(image, [region]) and by == [2, 1, 2]


def test_an_error_of_a_look_leaves_nothing_counted(picture: Picture, by: list[int]) -> None:
    image, region = picture
    backend = BlazePose(PipelineSettings(threads=2))
    with pytest.raises(AttributeError):
        backend.look(None, [region])  # type: ignore[arg-type]
    assert backend.look(image, [region]) and by == [2, 2]


def test_a_forked_process_destroys_no_interpreter_whose_threads_it_lacks(picture: Picture) -> None:
    image, region = picture
    backend = BlazePose(PipelineSettings(threads=2))
    backend.look(image, [region])
    there = len(blazepose._interpreters)

    def forked() -> None:
        gc.collect()
        os._exit(0 if len(blazepose._interpreters) == there else 1)

    child = multiprocessing.get_context("fork").Process(target=forked)
    child.start()
    child.join(60)
    assert there > 0 and child.exitcode == 0 and not blazepose._held
