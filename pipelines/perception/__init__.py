"""Perception backends by name: they detect people, masks, joints and heatmaps in frames."""

from __future__ import annotations

from collections.abc import Callable

from gaitkeeper.pipelines.perception.base import Perception, Person, Watcher
from gaitkeeper.pipelines.settings import PipelineSettings

__all__ = ["BACKENDS", "Perception", "Person", "Watcher", "build_perception"]


def _blazepose(settings: PipelineSettings) -> Perception:
    from gaitkeeper.pipelines.perception.watcher import BlazePose  # importing OpenCV and LiteRT takes a moment

    return BlazePose(settings)


def _yolo(settings: PipelineSettings) -> Perception:
    from gaitkeeper.pipelines.perception.topdown import TopDown

    return TopDown(settings)


BACKENDS: dict[str, Callable[[PipelineSettings], Perception]] = {"blazepose": _blazepose, "yolo": _yolo}


def build_perception(settings: PipelineSettings) -> Perception:
    """The backend that the settings name.

    Raises:
        WeightsMissing, WeightsCorrupt, LicenceNotAccepted: its weights are missing, wrong, or under a licence that was
            not accepted.
        DeviceUnavailable: its device does not exist.
    """
    return BACKENDS[settings.perception](settings)
