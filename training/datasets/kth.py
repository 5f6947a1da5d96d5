"""KTH walking: clips of one person each who passes the camera four times, processed by the project's own pipeline.

Schüldt, Laptev and Caputo, "Recognizing Human Actions: A Local SVM Approach", ICPR 2004: 25 people, 160 × 120 at 25 Hz,
outdoors (d1), outdoors with a change of scale (d2), in other clothes (d3), and indoors (d4). Evaluation only.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.heading import heading_of
from gaitkeeper.pipelines.quality import frames_needed
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.training.datasets.sample import Dataset, Sample
from gaitkeeper.training.datasets.seen import SeenClips, inputs_of
from gaitkeeper.training.errors import BadDataset

_NAME = re.compile(r"person(\d+)_walking_(d\d)_uncomp\.avi")
MIN_FRAMES = 15
"""Minimum frames of a pass at 25 Hz; the service gives no verdict for fewer either."""


def read(root: Path, clips: SeenClips | None = None, rate: float | None = None) -> Dataset:
    """The passes in the clips of a folder, ``person01_walking_d1_uncomp.avi``.

    A sample's ``condition`` is the setting ("d1" to "d4"), ``take`` the number of the pass in its clip from 1, and
    ``view`` the walker's heading in the picture ("left", "right"). Clips that are not cached are processed now,
    about six seconds of a core each; see :class:`gaitkeeper.training.datasets.seen.SeenClips`.

    Args:
        root: folder of the clips.
        clips: cache of their sequences.
        rate: frame rate of a slower camera in hertz, as in :class:`gaitkeeper.training.datasets.seen.SeenClips`, if
            ``clips`` is None.

    Raises:
        BadDataset: there are no such clips, or they show no walker.
    """
    if clips is None:
        clips = SeenClips() if rate is None else SeenClips(_of_few_frames, rate=rate)
    named = [(match, path) for path in sorted(root.glob("*.avi")) if (match := _NAME.fullmatch(path.name))]
    if not named:
        raise BadDataset(f"No clips in {root}: person01_walking_d1_uncomp.avi expected.")
    samples = []
    for match, path in named:
        for take, seq in enumerate((seq for seq in clips.of(path) if _long(seq)), start=1):
            heading = heading_of(seq)
            view = "" if heading is None else heading.value
            samples.append(Sample(match[1], match[2], view, str(take), partial(inputs_of, seq)))
    if not samples:
        raise BadDataset(f"No walker in any clip of {root}.")
    return Dataset("kth", tuple(samples))


def _long(seq: GaitSequence) -> bool:
    return len(seq) >= frames_needed(MIN_FRAMES, seq.quality.rate_hz)


def _of_few_frames() -> Pipeline:
    """A pipeline that accepts short sequences; the reader checks their length."""
    return Pipeline(PipelineSettings(min_frames=3))
