"""What the pipeline found in a clip, and the choice of one walker in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO

from gaitkeeper.pipelines.decode import ClipInfo, Decoder
from gaitkeeper.pipelines.errors import MultiplePeople, TrackNotFound
from gaitkeeper.pipelines.pipeline import ClipResult, Pipeline
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.files import require_file
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.recognition.parsing.walker_options import is_at, point_of
from gaitkeeper.service.schemas import Clip, Skipped, TrackChoice


class OpenClip:
    """An open clip. Its digest and its properties are computed once, however many parts of a request need them.

    Args:
        file: a seekable binary file, left open.
        name: name of the file, if known; at most its first 255 characters are kept.
    """

    def __init__(self, file: IO[bytes], name: str | None = None) -> None:
        self.file = file
        self.name = name[:255] if name else None
        self.info: ClipInfo | None = None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 digest of the clip's bytes, lower-case hexadecimal."""
        self.file.seek(0)
        return hashlib.file_digest(self.file, "sha256").hexdigest()  # type: ignore[arg-type]  # IO has no readinto

    def probe(self, decoder: Decoder, deadline: float | None) -> ClipInfo:
        """The clip's properties. Raises as :meth:`gaitkeeper.pipelines.decode.Decoder.probe`."""
        if self.info is None:
            self.info = decoder.probe(self.file, deadline)
        return self.info


ClipSource = str | Path | IO[bytes] | OpenClip


@contextmanager
def opened(clip: ClipSource) -> Iterator[OpenClip]:
    """Context manager: a clip, open. One that was given open is left open.

    Raises:
        NotAFile: the path is not a file.
    """
    with require_file(clip).open("rb") if isinstance(clip, (str, Path)) else nullcontext(clip) as file:
        yield file if isinstance(file, OpenClip) else OpenClip(file)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the pipeline found in a clip, the digest of the clip's bytes, and the camera that was named for it."""

    result: ClipResult
    sha256: str
    camera: str | None = None

    @classmethod
    def through(
        cls,
        pipeline: Pipeline,
        clip: ClipSource,
        on_progress: Progress | None = None,
        deadline: float | None = None,
        rotate: int = 0,
        camera: str | None = None,
    ) -> Seen:
        """Run a pipeline on a clip.

        Args:
            pipeline: the pipeline.
            clip: path, or an open clip, or a seekable binary file, which is read from its start and left open.
            on_progress: called with the stage and its completed fraction.
            deadline: time of ``time.monotonic`` at which processing is aborted.
            rotate: clockwise rotation of the pictures in degrees; see
                :meth:`gaitkeeper.pipelines.pipeline.Pipeline.process`.
            camera: name of the camera that recorded the clip.

        Raises:
            NotAFile: the path is not a file.
            ClipError: the clip cannot be used; see :mod:`gaitkeeper.pipelines.errors`.
            DeadlineExceeded: processing took longer.
        """
        tell = on_progress or _silent
        with opened(clip) as own:
            sha256 = own.sha256
            result = pipeline.process(
                own.file, lambda share: tell("looking at the clip", share), deadline, rotate, own.info
            )
            return cls(result, sha256, camera)

    @property
    def clip(self) -> Clip:
        """Digest, size and length."""
        return Clip(sha256=self.sha256, **asdict(self.result.clip))

    @property
    def skipped(self) -> list[Skipped]:
        """Tracked people without a usable sequence."""
        return [Skipped.model_validate(tracklet) for tracklet in self.result.skipped]

    def walker(self, track: int | None, point: str | None = None) -> GaitSequence:
        """The sequence of ``track``, of the walker at ``point``, or of the only walker.

        Args:
            track: number of the walker.
            point: position in the upright picture, in the format of
                :func:`gaitkeeper.service.recognition.parsing.walker_options.point_of`.

        Raises:
            MultiplePeople: the clip has several walkers and none was chosen, or several are at the point; ``tracks``
                lists them.
            TrackNotFound: no walker has this number, or no walker is at the point.
        """
        chosen = self.chosen(track, point).result.sequences
        if len(chosen) > 1:
            raise self._several(chosen)
        return chosen[0]

    def chosen(self, track: int | None, point: str | None = None) -> Seen:
        """The same without the walkers who are neither of ``track`` nor at ``point``; all of them if both are None.

        Raises:
            TrackNotFound: no walker has this number, or no walker is at the point.
        """
        walkers = {sequence.track: sequence for sequence in self.result.sequences}
        if point is not None:
            where = point_of(point)
            walkers = {number: sequence for number, sequence in walkers.items() if is_at(sequence, where)}
            if not walkers:
                raise TrackNotFound(f"No walker of the clip is at {point}.")
        if track is not None and track not in walkers:
            reason = next((one.reason for one in self.result.skipped if one.track == track), None)
            why = "" if reason is None else f" that can be used ({reason})"
            known = ", ".join(map(str, walkers))
            raise TrackNotFound(f"No walker of the clip has track {track}{why}; there is {known}.", track=track)
        sequences = [sequence for number, sequence in walkers.items() if track in (None, number)]
        return replace(self, result=replace(self.result, sequences=sequences))

    def _several(self, walkers: Sequence[GaitSequence]) -> MultiplePeople:
        known = {sequence.track for sequence in walkers}
        return MultiplePeople(
            f"{len(walkers)} people walk in the clip: choose one by `track`.",
            tracks=[choice.model_dump() for choice in self.choices() if choice.track in known],
        )

    def choices(self, *, thumbnails: bool = True) -> list[TrackChoice]:
        """The walkers to choose from."""
        pictures = self.result.thumbnails if thumbnails else {}
        return [
            TrackChoice(
                track=sequence.track,
                start=float(sequence.timestamps[0]),
                end=float(sequence.timestamps[-1]),
                box=tuple(map(float, sequence.boxes[len(sequence) // 2])),
                quality=sequence.quality,
                thumbnail=base64.b64encode(pictures[sequence.track]).decode() if thumbnails else None,
            )
            for sequence in self.result.sequences
        ]


def _silent(stage: str, share: float) -> None:
    """Progress callback that does nothing."""
