"""The pipeline for live streams: takes frames one by one, returns people and their latest gait.

Every person has a sliding window of gait. The window restarts, and a name given to the person must be withdrawn, when
the track may have moved to another person: the clothes change abruptly, or two people have met and their clothes do
not show that each track continues on the same person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.pipelines.appearance import difference
from gaitkeeper.pipelines.crossing import Crossings
from gaitkeeper.pipelines.likeness import JUMP, NEIGHBOURS, WITNESSES, change, worn
from gaitkeeper.pipelines.perception import Perception
from gaitkeeper.pipelines.repeats import Repeats
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.pipelines.settings import PipelineSettings
from gaitkeeper.pipelines.track import Tracker, looked_at
from gaitkeeper.pipelines.tracklet import Past, Sighting, Tracklet

Array = npt.NDArray[Any]

RATE = 30.0
GONE = 1.0
STEP, LONGEST_STEP = 0.1, 0.25
SLACK = 0.05
# Margin by which the clothes of the person met must differ more than the person's own clothes before.
APART = 0.1


@dataclass(frozen=True, eq=False)
class Seen:
    """A person in a frame.

    Attributes:
        track: number of the track in the stream, from 1, in order of appearance.
        box: float32 (4,); x1, y1, x2, y2 in pixels.
        score: confidence that this is a person, in [0, 1].
        gait: seconds of gait in the person's window.
        usable: False if the frame cannot be used for the gait.
    """

    track: int
    box: Array
    score: float
    gait: float
    usable: bool


@dataclass(frozen=True, eq=False)
class Due:
    """A window that is due for a verdict; at the end of a track, the whole track.

    Attributes:
        track: number of the track.
        window: number of the track's window; increases each time that it restarts.
        time: seconds, of the last frame in it.
        gait: seconds of gait in it.
        enough: True if that is enough to identify a person.
        final: True if the track has ended. Then the window is all of the track since its window last restarted, at most
            its latest ``max_sequence_frames`` frames.
        span: numbers of the first and the last frame with the person, counted from the start of the stream; a restart
            of the window sets the first.
    """

    track: int
    window: int
    time: float
    gait: float
    enough: bool
    final: bool
    span: tuple[int, int]
    _tracklet: Tracklet = field(repr=False)

    def sequence(self, perception: str) -> GaitSequence:
        """The window's gait sequence; built on first use, also from another thread."""
        return self._tracklet.sequence(perception)

    def thumbnail(self) -> bytes:
        """As of the tracklet; see :meth:`gaitkeeper.pipelines.tracklet.Tracklet.thumbnail`."""
        return self._tracklet.thumbnail()


@dataclass(frozen=True, eq=False)
class Sight:
    """The result of a frame.

    Attributes:
        people: all people in it.
        anew: tracks whose window restarted.
        ended: tracks that have ended.
        due: windows to be judged.
    """

    people: list[Seen]
    anew: list[int]
    ended: list[int]
    due: list[Due]


@dataclass
class _Track:
    number: int
    tracklet: Tracklet
    span: tuple[int, int]
    window: int = 1
    judged: float = -np.inf
    last: float = 0.0
    gait: float = 0.0
    past: Past = field(default_factory=Past)
    """What was before the window, since it last restarted."""
    alone: list[Sighting] = field(default_factory=list)
    """Usable sightings without another person near, whose clothes could be mistaken for the person's."""
    met: list[tuple[float, Array | None, Array | None]] = field(default_factory=list)
    """Ends of meetings to check, with the clothes of both people before."""


class LiveWatch:
    """One stream; not thread-safe.

    Args:
        perception: the perception backend.
        settings: lengths of the window.
    """

    def __init__(self, perception: Perception, settings: PipelineSettings) -> None:
        self.settings = settings
        self._perception = perception
        self._tracks: dict[int, _Track] = {}
        self._count = 0
        self._index = 0
        self._time = -np.inf
        self._shape: tuple[int, ...] | None = None
        self._begin()

    def see(self, image: Array, time: float) -> Sight:
        """Take a frame; people are not usable in one that repeats the frame before.

        Args:
            image: RGB uint8 (H, W, 3); a new size means another scene, and all tracks end.
            time: seconds; if it is before the last frame, as after a clock was set, all tracks end, too.
        """
        ended: list[Due] = []
        if image.shape != self._shape or not 0 <= time - self._time <= GONE:
            ended = self.end()
            self._begin()
        self._shape, self._time = image.shape, time
        repeated = self._repeats.repeated(image, time)
        people = self._watcher.see(image, time)
        numbers = looked_at(self._tracker.update(people, time), people, self._tracks)
        crowded = self._crossings.note(time, numbers, people)
        meeting = self._crossings.meeting()
        self._note_meetings()
        seen, anew = [], []
        for number, person in zip(numbers, people, strict=True):
            if number is None:
                continue
            track = self._tracks.get(number) or self._appeared(number)
            track.tracklet.add(image, person, people, self._index, time, crowded=number in crowded, repeated=repeated)
            track.last, track.span = time, (track.span[0], self._index)
            latest = track.tracklet.sightings[-1]
            if not person.carried and latest.view is not None and number not in meeting:
                track.alone.append(latest)
            gone = self._forget(track, time - self.settings.live_longest)
            track.past.extend(gone, self.settings.max_sequence_frames)
            if not person.carried and self._is_another(track):
                anew.append(track.number)
            track.gait = _seconds(track.tracklet.sightings)
            usable = track.tracklet.sightings[-1].view is not None and not repeated
            seen.append(Seen(track.number, person.box, person.score, track.gait, usable))
        self._index += 1
        ended += [self._ended(number) for number in self._gone(time)]
        return Sight(seen, anew, [due.track for due in ended], [*ended, *self._due(time)])

    def end(self) -> list[Due]:
        """End every track; returns their last windows."""
        return [self._ended(number) for number in list(self._tracks)]

    def _begin(self) -> None:
        self._watcher = self._perception.watch(live=True)
        self._tracker = Tracker(RATE)
        self._crossings = Crossings()
        self._repeats = Repeats()

    def _appeared(self, number: int) -> _Track:
        self._count += 1
        tracklet = Tracklet(self._count, self.settings.max_sequence_frames)
        track = _Track(self._count, tracklet, (self._index, self._index))
        self._tracks[number] = track
        return track

    def _gone(self, time: float) -> list[int]:
        return [number for number, track in self._tracks.items() if time - track.last > GONE]

    def _ended(self, number: int) -> Due:
        track = self._tracks.pop(number)
        self._crossings.forget(number)
        whole = track.tracklet.after(track.past)
        track.gait = _seconds(whole.sightings)
        return self._window(track, whole, final=True)

    def _due(self, time: float) -> list[Due]:
        """Windows with enough gait that were not judged for half a window."""
        due = []
        for track in self._tracks.values():
            if track.last == time and self._is_enough(track) and self._is_fresh(track):
                due.append(self._window(track, track.tracklet.copy(), final=False))
                track.judged = time
        return due

    def _window(self, track: _Track, seen: Tracklet, *, final: bool) -> Due:
        enough = self._is_enough(track)
        return Due(track.number, track.window, track.last, track.gait, enough, final, track.span, seen)

    def _is_fresh(self, track: _Track) -> bool:
        return track.last - track.judged >= self.settings.live_window / 2

    def _is_enough(self, track: _Track) -> bool:
        return track.gait >= self.settings.live_window - SLACK

    def _note_meetings(self) -> None:
        for (a, b), start, end in self._crossings.ended():
            if a in self._tracks and b in self._tracks:
                first, second = self._tracks[a], self._tracks[b]
                wore = [worn([s for s in track.alone if s.time < start]) for track in (first, second)]
                first.met.append((end, wore[0], wore[1]))
                second.met.append((end, wore[1], wore[0]))

    def _is_another(self, track: _Track) -> bool:
        """True if the track may have moved to another person; its window has then restarted."""
        for meeting in list(track.met):
            end, own, others = meeting
            now = worn([s for s in track.alone if s.time >= end])
            if now is not None:
                track.met.remove(meeting)
                if own is None or others is None or difference(now, own) + APART >= difference(now, others):
                    return self._anew(track, end)
        found = change(track.alone[-2 * WITNESSES :])
        if found is not None and found.other:
            return self._anew(track, found.time)
        before, recent = worn(track.alone[:-WITNESSES]), worn(track.alone[-WITNESSES:])
        if before is None or recent is None or difference(before, recent) <= JUMP:
            return False
        unlike = (s.time for s in track.alone[-WITNESSES:] if difference(before, s.appearance) > JUMP)
        return self._anew(track, next(unlike, track.last))

    def _forget(self, track: _Track, before: float) -> Past:
        """Shorten the window to what was seen from a moment on. Returns what was before."""
        track.alone = [s for s in track.alone if s.time >= before]
        return track.tracklet.forget_before(before)

    def _anew(self, track: _Track, time: float) -> bool:
        self._forget(track, time)
        track.past.clear()
        track.span = track.tracklet.sightings[0].index, track.span[1]
        track.window += 1
        track.judged = -np.inf
        return True


def _seconds(sightings: Iterable[Sighting]) -> float:
    """Seconds of gait: the time between usable frames that are near each other, given the frame rate."""
    steps = np.diff([s.time for s in sightings if s.view is not None])
    if not len(steps):
        return 0.0
    near = np.clip(NEIGHBOURS * float(np.median(steps)), STEP, LONGEST_STEP)
    return float(np.minimum(steps, near).sum())
