"""What the pipeline asks of a perception backend."""

from __future__ import annotations

import pytest

from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.errors import NoPerson


class Together:
    """A backend that likes eight frames at once, and sees nobody."""

    name = "together/1"
    batch = 8

    def __init__(self):
        self.times = []

    def watch(self, *, live=False):
        return self

    def see_all(self, images, times):
        assert all(image.shape == (96, 160, 3) for image in images)
        self.times.append(list(times))
        return [[] for _ in images]

    def see(self, image, time):
        return []  # asked of samples, turned, where nobody was seen


def test_frames_are_handed_over_in_batches_and_in_order(make_clip):
    pipeline = Pipeline()
    pipeline._perception = backend = Together()
    try:
        with pytest.raises(NoPerson):
            pipeline.process(make_clip("clip.mp4", count=20))
    finally:
        pipeline.close()
    assert [len(times) for times in backend.times] == [8, 8, 4]
    together = [time for times in backend.times for time in times]
    assert together == sorted(together) and together[1] == pytest.approx(1 / 30)
