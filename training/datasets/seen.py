"""A cache of the gait sequences that the pipeline makes of a data set's clips, so that each clip is processed once."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from gaitkeeper.models.cache import cache_folder, digest_of
from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.errors import BadSequence, ClipError
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.thinning import Thinned
from gaitkeeper.training.datasets.sample import Inputs
from gaitkeeper.training.datasets.sequences import SUFFIX

FOLDER = "sequences"
LISTING = "sequences.json"
VERSION = 5
"""Raised where clips give other sequences with the same perception; 2 leaves out pictures that repeat others, 4 looks
at every second picture where that is enough, and 5 at every third one after several gait cycles."""


class SeenClips:
    """Sequences by clip, in the cache folder under the digest of the clip and the versions of perception and pipeline.

    Args:
        pipeline: creates the pipeline, called for the first clip that is not cached.
        folder: folder of the sequences; ``sequences`` in the cache folder by default.
        rate: frame rate in hertz to which clips are thinned before perception, with separate cache entries. None
            leaves clips unchanged.
    """

    def __init__(
        self, pipeline: Callable[[], Pipeline] = Pipeline, folder: Path | None = None, rate: float | None = None
    ) -> None:
        self._make = pipeline
        self._pipeline: Pipeline | None = None
        self._folder = cache_folder() / FOLDER if folder is None else folder
        self._rate = rate

    def of(self, clip: Path) -> list[GaitSequence]:
        """The walkers of a clip by time, then by track; an empty list where the clip shows no walker.

        Raises:
            OSError: the clip cannot be read, or the cache cannot be written.
        """
        name = digest_of(clip) if self._rate is None else f"{digest_of(clip)}-{self._rate:g}hz"
        kept = self._folder / f"{self._used().perception.name}-{VERSION}" / name
        found = _load(kept)
        if found is None:
            try:
                found = self._used().sequences(clip)
            except ClipError:
                found = []
            _save(kept, found)
        return sorted(found, key=lambda seq: (float(seq.timestamps[0]), seq.track))

    def _used(self) -> Pipeline:
        if self._pipeline is None:
            self._pipeline = self._make()
            if self._rate is not None:
                self._pipeline.decoder = Thinned(self._pipeline.decoder, self._rate)
        return self._pipeline


def inputs_of(seq: GaitSequence) -> Inputs:
    """A sequence as the frames of a walk."""
    return Inputs(
        silhouettes=seq.silhouettes,
        joints=seq.joints,
        heatmaps=seq.heatmaps,
        timestamps=seq.timestamps,
        perception=seq.perception,
    )


def _load(folder: Path) -> list[GaitSequence] | None:
    try:
        count = json.loads((folder / LISTING).read_text())["sequences"]
        return [GaitSequence.load(folder / f"{i}{SUFFIX}") for i in range(count)]
    except (OSError, ValueError, KeyError, BadSequence):
        return None  # missing or damaged: make it again


def _save(folder: Path, seqs: list[GaitSequence]) -> None:
    """Write to a temporary file first, so that the final file is always complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        for i, seq in enumerate(seqs):
            seq.save(fresh / f"{i}{SUFFIX}")
        (fresh / LISTING).write_text(json.dumps({"sequences": len(seqs)}))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
