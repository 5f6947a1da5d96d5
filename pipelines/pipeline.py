"""The pipeline from a clip to gait sequences."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.crossing import Crossings
from gaitkeeper.pipelines.decode import RESAMPLE_ABOVE, ClipInfo, Decoder, Frame, InProcess, Source
from gaitkeeper.pipelines.errors import CutOff, DeadlineExceeded, NoPerson, NotUpright, TooShort
from gaitkeeper.pipelines.perception import Perception, Person, Watcher, build_perception
from gaitkeeper.pipelines.posture import MIN_UPRIGHT, Samples, turn_of
from gaitkeeper.pipelines.quality import frames_needed
from gaitkeeper.pipelines.repeats import marked
from gaitkeeper.pipelines.sandbox import Sandbox
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.stages import Stage, ahead, metered
from gaitkeeper.pipelines.track import Tracker, looked_at
from gaitkeeper.pipelines.tracklet import REPEATED, Tracklet
from gaitkeeper.pipelines.trail import BoxTrail
from gaitkeeper.pipelines.upright import all_turned, turned_info

Array = npt.NDArray[Any]

PICTURE_SIDE = 640
STAGES = ("decode", "perception", "tracking", "sequences")
READ_AHEAD = 3
NOISE = 8


@dataclass(frozen=True)
class SkippedTracklet:
    """A person who was followed but did not become a sequence.

    Attributes:
        track: number of the tracklet in its clip.
        reason: "cut_off", "too_short", "overlap", "poor_mask", "low_score" or "standing".
        frames: frames that show the person.
        usable: frames that could have been used.
        start, end: seconds of the first and the last sighting.
    """

    track: int
    reason: str
    frames: int
    usable: int
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class ClipResult:
    """The result of a clip.

    Attributes:
        clip: the clip's size, rate and length.
        sequences: one per walker, in order of appearance.
        skipped: people who were followed without a sequence, and why.
        timings: seconds per stage: "decode", "perception", "tracking", "sequences", and "total" by the clock. Decoding
            and perception run beside the other stages, so the stages may add up to more than the total.
        thumbnails: JPEG per track number.
        picture: a frame from the middle of what was decoded, uint8 (H, W, 3) RGB, its longer side at most 640 pixels.
        spans: times of the first and the last sighting in seconds, usable or not, by track number.
        trails: where each person was seen, by track number; also those of skipped people.
    """

    clip: ClipInfo
    sequences: list[GaitSequence]
    skipped: list[SkippedTracklet]
    timings: dict[str, float]
    thumbnails: dict[int, bytes]
    picture: Array = field(repr=False)
    spans: dict[int, tuple[float, float]]
    trails: dict[int, BoxTrail] = field(default_factory=dict, repr=False)


class Pipeline:
    """Extracts gait sequences from clips.

    Models are loaded at the first clip and shared; several threads may process clips at once.

    Example:
        >>> seqs = Pipeline().sequences("walk.mp4")  # doctest: +SKIP
    """

    def __init__(self, settings: PipelineSettings | None = None) -> None:
        self.settings = settings or PipelineSettings()
        self.decoder = _decoder(self.settings)
        self.stages = {name: Stage(name) for name in STAGES}
        self._perception: Perception | None = None
        self._lock = threading.Lock()

    @property
    def perception(self) -> Perception:
        """The perception backend, loaded on first use.

        Raises:
            WeightsMissing, WeightsCorrupt: its weights are missing or wrong.
        """
        with self._lock:
            if self._perception is None:
                self._perception = build_perception(self.settings)
            return self._perception

    def tried(self, picture: Array) -> str:
        """Process an RGB uint8 (H, W, 3) picture like a clip's, as a check; returns the backend's name.

        Raises:
            WeightsMissing, WeightsCorrupt: as :attr:`perception`.
        """
        self.perception.watch().see(picture, 0.0)
        return self.perception.name

    def sequences(self, source: Source) -> list[GaitSequence]:
        """The gait sequences of all walkers in a clip, at least one.

        Args:
            source: path, bytes or seekable binary file.

        Raises:
            NoPerson, CutOff, TooShort: no person gave a usable sequence.
            NotUpright: no person gave one, and turning the clip would make its people upright.
            ClipError: the clip itself cannot be used; see :mod:`gaitkeeper.pipelines.errors`.
        """
        return self.process(source).sequences

    def process(
        self,
        source: Source,
        on_progress: Callable[[float], None] | None = None,
        deadline: float | None = None,
        rotate: int = 0,
        info: ClipInfo | None = None,
    ) -> ClipResult:
        """As :meth:`sequences`, with skipped people, timings and thumbnails.

        Args:
            source: path, bytes or seekable binary file.
            on_progress: called from time to time with the finished share, in [0, 1]; an exception ends the work.
            deadline: instant of ``time.monotonic`` at which to give up.
            rotate: degrees, 0, 90, 180 or 270, to turn the pictures clockwise, after the clip's own rotation.
            info: the clip's properties, if its decoder was already asked for them.

        Raises:
            DeadlineExceeded: the work was not finished by then.
            SandboxUnavailable: clips cannot be decoded as the settings require.
        """
        started = time.perf_counter()
        tell = on_progress or (lambda _: None)
        info = info or self.decoder.probe(source, deadline)
        if info.frames < (needed := frames_needed(self.settings.min_frames, info.rate)):
            raise TooShort(
                f"The clip has {info.frames} frame{'s' * (info.frames != 1)}; a gait needs at least {needed}, "
                "better two seconds."
            )
        tracker = Tracker(info.rate)
        spent = dict.fromkeys(STAGES, 0.0)
        tracklets: dict[int, Tracklet] = {}
        crossings = Crossings()
        samples = Samples()
        picture = np.zeros((1, 1, 3), np.uint8)
        count = segment = last = 0
        with closing(self._perceived(source, info, deadline, spent, rotate)) as perceived:
            for frame, people in chain.from_iterable(perceived):
                if deadline is not None and time.monotonic() > deadline:
                    raise DeadlineExceeded("The clip could not be processed in the time that a request may take.")
                with self.stages["tracking"].working(spent):
                    if frame.segment != segment:
                        tracker.begin()
                        segment = frame.segment
                    numbers = looked_at(tracker.update(people, frame.time), people, tracklets)
                    crowded = crossings.note(frame.time, numbers, people)
                with self.stages["sequences"].working(spent):
                    for number, person in zip(numbers, people, strict=True):
                        if number is None:
                            continue
                        if number not in tracklets:
                            tracklets[number] = Tracklet(len(tracklets) + 1, self.settings.max_sequence_frames)
                        tracklets[number].add(
                            frame.image,
                            person,
                            people,
                            count,
                            frame.time,
                            crowded=number in crowded,
                            repeated=frame.repeated,
                        )
                samples.take(frame.image, frame.time)
                if frame.index <= info.frames // 2:
                    picture = frame.image
                count += 1
                last = frame.index
                tell(min(frame.index / info.frames, 1.0))
        with self.stages["sequences"].working(spent):
            crossings.resolve(tracklets)
            parts = [part for t in tracklets.values() for part in t.parts() if part.sightings]
            people_seen = self._numbered(sorted(parts, key=lambda part: part.span[0]))
            sequences, skipped = self._sorted_out(people_seen)
        if all(seq.quality.upright < MIN_UPRIGHT for seq in sequences):
            with self.stages["perception"].working(spent):
                turn = turn_of(samples, self.perception)
            if turn is not None:
                turn = (rotate + turn) % 360  # the samples were already turned by ``rotate``
            if not sequences:
                raise _why_nobody(skipped) if turn is None else NotUpright.turned(turn)
            sequences = [replace(seq, quality=replace(seq.quality, turn=turn)) for seq in sequences]
        tell(1.0)
        if info.rate <= RESAMPLE_ABOVE and last + 1 < info.frames:
            info = replace(info, repaired={**info.repaired, "undecoded": info.frames - last - 1})
        return ClipResult(
            clip=turned_info(info, rotate),
            sequences=sequences,
            skipped=skipped,
            timings={**spent, "total": time.perf_counter() - started},
            thumbnails={t.number: t.thumbnail() for t in people_seen},
            picture=_small(picture),
            spans={t.number: t.span for t in people_seen},
            trails={t.number: t.trail for t in people_seen},
        )

    def _perceived(
        self,
        source: Source,
        info: ClipInfo,
        deadline: float | None,
        spent: dict[str, float],
        rotate: int,
    ) -> Generator[list[tuple[Frame, list[Person]]], None, None]:
        """Each frame with its people, in batches of the size that the backend prefers.

        Decoding and perception have a thread each, and run ahead of the reader.
        """
        batch, stages = self.perception.batch, self.stages
        frames = all_turned(marked(self.decoder.frames(source, info, deadline)), rotate)
        decoded = metered(frames, stages["decode"], spent)
        waiting = ahead(decoded, max(READ_AHEAD, 2 * batch), stages["perception"])
        people = _seen(waiting, self.perception.watch(), batch, stages["perception"], spent)
        return ahead(people, max(1, READ_AHEAD // batch), stages["tracking"])

    def close(self) -> None:
        """Stop the decoder's process, if any; the next clip starts another."""
        self.decoder.close()

    def _numbered(self, tracklets: list[Tracklet]) -> list[Tracklet]:
        """Tracklets numbered from 1, without very short ones: these are false detections or people at the edge."""
        # The clip's rate is that of its best seen person: a false detection has one of its own.
        needed = frames_needed(min(NOISE, self.settings.min_frames), max((t.rate for t in tracklets), default=0.0))
        counting = [t for t in tracklets if t.seen >= needed] or tracklets
        for number, tracklet in enumerate(counting, start=1):
            tracklet.number = number
        return counting

    def _sorted_out(self, tracklets: list[Tracklet]) -> tuple[list[GaitSequence], list[SkippedTracklet]]:
        sequences, skipped = [], []
        for tracklet in tracklets:
            sequence = tracklet.sequence(self.perception.name)
            reason = self._why_not(sequence, tracklet)
            if reason is None:
                sequences.append(sequence)
            else:
                skipped.append(SkippedTracklet(tracklet.number, reason, tracklet.seen, len(sequence), *tracklet.span))
        return sequences, skipped

    def _why_not(self, sequence: GaitSequence, tracklet: Tracklet) -> str | None:
        needed = frames_needed(self.settings.min_frames, tracklet.rate)
        if len(sequence) < needed:
            # If the dropped frames would have been enough, report their most frequent reason.
            thrown = {reason: n for reason, n in sequence.quality.skipped.items() if reason != REPEATED}
            return max(thrown, key=lambda reason: thrown[reason]) if thrown and tracklet.seen >= needed else "too_short"
        return None if sequence.quality.gait_cycles > 0 else "standing"


def _decoder(settings: PipelineSettings) -> Decoder:
    """The decoder that the settings name. Raises NvdecUnavailable."""
    if settings.nvdec:
        from gaitkeeper.pipelines.nvdec import NvDecoder

        return NvDecoder(settings)
    return Sandbox(settings) if settings.sandbox else InProcess(settings)


def _why_nobody(skipped: list[SkippedTracklet]) -> Exception:
    """The error for a clip without a sequence: that of the person who was seen longest."""
    if not skipped:
        return NoPerson(
            "No person was found in the clip. A walker's whole body must be visible, at least 70 pixels tall."
        )
    longest = max(skipped, key=lambda s: s.frames)
    people = [{"track": s.track, "reason": s.reason, "frames": s.frames, "usable": s.usable} for s in skipped]
    if longest.reason == "cut_off":
        return CutOff("The walker is cut off by the picture's edge: show the whole body, head to feet.", skipped=people)
    if longest.reason == "standing":
        return NoPerson("The clip shows people, but no one is walking.", skipped=people)
    if longest.reason == "too_short":
        return TooShort(
            f"The walker is seen in {longest.frames} frames only; a gait needs at least half a second, better two.",
            skipped=people,
        )
    return TooShort(
        f"Only {longest.usable} of the walker's {longest.frames} frames can be used ({longest.reason}): film one "
        "person in full view and in good light.",
        skipped=people,
    )


def _seen(
    stream: Generator[Frame, None, None], watcher: Watcher, batch: int, stage: Stage, spent: dict[str, float]
) -> Generator[list[tuple[Frame, list[Person]]], None, None]:
    """Frames with their people, in batches of the size that the backend prefers."""
    with closing(stream):
        while frames := list(islice(stream, batch)):
            with stage.working(spent):
                people = watcher.see_all([frame.image for frame in frames], [frame.time for frame in frames])
            yield list(zip(frames, people, strict=True))


def _small(image: Array) -> Array:
    shrink = min(1.0, PICTURE_SIDE / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
