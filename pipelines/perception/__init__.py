"""Perception backends, by name: what sees the people in a frame."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.perception.base import Perception, Person, Watcher
from pipelines.settings import PipelineSettings

__all__ = ["BACKENDS", "Perception", "Person", "Watcher", "build_perception"]


def _blazepose(settings: PipelineSettings) -> Perception:
    from pipelines.perception.watcher import BlazePose  # imports OpenCV and LiteRT, which need a moment

    return BlazePose(settings)


def _yolo(settings: PipelineSettings) -> Perception:
    from pipelines.perception.topdown import TopDown

    return TopDown(settings)


BACKENDS: dict[str, Callable[[PipelineSettings], Perception]] = {"blazepose": _blazepose, "yolo": _yolo}


def build_perception(settings: PipelineSettings) -> Perception:
    """The backend that the settings name.

    Raises:
        WeightsMissing, WeightsCorrupt, LicenceNotAccepted: its weights are not there, not right, or may not be used.
        DeviceUnavailable: what it is to run on is not there.
    """
    return BACKENDS[settings.perception](settings)
