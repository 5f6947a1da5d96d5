"""The default perception backend: BlazePose follows each person, with the next crop from the person's own landmarks."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from gaitkeeper.models import weights
from gaitkeeper.pipelines.perception.base import Person, Watcher
from gaitkeeper.pipelines.perception.blazepose import ROI_GROWTH, Detector, Landmarker, Look, Region
from gaitkeeper.pipelines.perception.followed import Followed, is_near_another, is_seen
from gaitkeeper.pipelines.perception.scan import Scan, Tile
from gaitkeeper.pipelines.settings import PipelineSettings

Array = npt.NDArray[Any]

# Following a person needs a lower score than finding one; a person cut off at the knees scores about 0.4.
FOUND, FOLLOWED = 0.3, 0.15
MIN_SCORE = 0.55
MIN_INSIDE = 0.7
# Seconds for which a person out of sight is looked for: in every frame, and in every second one.
STILL_THERE, KEEP_LOOKING = 0.15, 0.6
FORGIVE = 0.6
# Presence below which a first look ends the examination of a region: of 60 regions with
# a person in eleven clips none is below it, of 22 without one 13 are.
GLIMPSE = 0.003
# Side of a region, in pixels, below which no person is searched for: the one in it would be too small to use.
SMALLEST = 48.0
# While every person is in sight and searches find no one new, the time between two of them grows to so many times.
QUIET = 3
# Live: tiles per search, seconds between searches while no person is followed and while one is (who has priority
# then), and candidates examined per search.
LIVE_TILES, LIVE_EVERY, LIVE_RARELY, LIVE_TRIES = 2, 0.1, 0.3, 2
# Live: seconds after which the place that a search found is out of date, because a walker has left it.
OUT_OF_DATE = 0.5
SEARCH_NICENESS = 5


class BlazePose:
    """The default backend; its models are loaded once and shared by all clips."""

    name = "blazepose-full/1"
    batch = 1  # each frame depends on the one before

    def __init__(self, settings: PipelineSettings) -> None:
        self.settings = settings
        self.detector = Detector(weights.locate("blazepose-detector"))
        landmark = weights.locate("blazepose-landmark")
        self.landmarker = Landmarker(landmark)
        self._quick = Landmarker(landmark, settings.threads)
        self._looks, self._counting = 0, threading.Lock()
        self.pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="blazepose")
        self._quick_pool = ThreadPoolExecutor(1, thread_name_prefix="blazepose-quick")
        # Live frames do not queue behind a search, which runs in the remaining time.
        self.searches = ThreadPoolExecutor(1, thread_name_prefix="blazepose-search", initializer=_stand_back)
        self._warming, self._is_warm = threading.Lock(), False

    def watch(self, *, live: bool = False) -> Watcher:
        """A new watcher for one clip, or for a live stream."""
        if not live:
            return BlazePoseWatcher(self)
        self._warm()
        return LiveBlazePoseWatcher(self)

    def look(self, image: Array, regions: Sequence[Region]) -> list[Look]:
        """The result for each region: regions run in parallel, or a single region uses all threads."""
        with self._counting:
            quick = self._looks == 0 and len(regions) == 1
            self._looks += 1
        try:
            landmarker, pool = (self._quick, self._quick_pool) if quick else (self.landmarker, self.pool)
            return list(pool.map(lambda region: landmarker(image, region), regions))
        finally:
            with self._counting:
                self._looks -= 1

    def _warm(self) -> None:
        """Make every thread load its models in advance, which takes longer than a live frame may wait."""
        if self._is_warm:
            return
        blank = np.zeros((256, 256, 3), np.uint8)
        together = threading.Barrier(self.settings.threads)

        def look() -> None:
            together.wait()  # otherwise one thread would do the work of several
            self.landmarker(blank, Region(128, 128, 256))

        def search() -> None:
            self.detector(blank, (0, 0, 256))
            self.landmarker(blank, Region(128, 128, 256))

        def quick() -> None:
            self._quick(blank, Region(128, 128, 256))

        with self._warming:
            if not self._is_warm:
                work = [self.pool.submit(look) for _ in range(self.settings.threads)]
                work += [self._quick_pool.submit(quick), self.searches.submit(search)]
                for one in work:
                    one.result()
                self._is_warm = True


class BlazePoseWatcher:
    """Updates the regions of followed people, and searches for new people every ``detect_every`` seconds."""

    def __init__(self, backend: BlazePose) -> None:
        self._backend = backend
        self._scan = Scan()
        self._followed: list[Followed] = []
        self._nobody: list[tuple[Region, float]] = []
        self._next_search = -np.inf
        self._quiet = 1
        self._time = -np.inf

    def see(self, image: Array, time: float) -> list[Person]:
        """All people in the frame, each once."""
        step, self._time = time - self._time, time
        size = image.shape[1], image.shape[0]
        for one in self._followed:
            one.crowded = is_near_another(one, self._followed)
        due = [one for one in self._followed if self._is_due(one, time, step, size)]
        looks = self._backend.look(image, [one.expected(time) for one in due])
        for one in self._followed:
            if one not in due:
                one.carry(step, size)
        self._take(due, looks, time)
        people = [one.person for one in self._followed if one.person is not None]
        for one in due:
            one.note(people, size, time)
        self._followed = [one for one in self._followed if time - one.seen <= KEEP_LOOKING]
        if time >= self._next_search:
            self._search(image, time)
        return [one.person for one in self._followed if one.person is not None]

    def see_all(self, images: Sequence[Array], times: Sequence[float]) -> list[list[Person]]:
        """All people in each of several frames, one frame after the other."""
        return [self.see(image, time) for image, time in zip(images, times, strict=True)]

    def _is_due(self, one: Followed, time: float, step: float, size: tuple[int, int]) -> bool:
        """False if the person need not be looked at in this frame.

        Args:
            one: the person.
            time, step: seconds, and seconds since the frame before.
            size: width and height of the frame in pixels.
        """
        if one.person is None and not one.is_expected_within(size, time):
            return False
        out_of_sight = time - one.seen > STILL_THERE
        look_rate = self._backend.settings.look_rate
        rate = look_rate if out_of_sight else one.rate(time, look_rate)
        return time - one.looked > 1 / rate - step / 2

    def _take(self, due: list[Followed], looks: list[Look], time: float) -> None:
        """Update the tracks with the new sightings of those who were looked at.

        If two regions show one person, the sighting goes to the track that was seen last, and of two seen last, to the
        one nearer to its expected place. The other track saw no one and is extrapolated, which is where a person hidden
        by another reappears.
        """
        pairs = sorted(
            zip(due, looks, strict=True), key=lambda pair: (-pair[0].seen, _surprise(pair[0], pair[1], time))
        )
        for one, _ in pairs:
            one.person, one.looked = None, time
        for one, look in pairs:
            if look.person is None or not _believable(look, FOLLOWED) or is_seen(look.person, self._followed):
                continue
            one.advance(look.next_region, look.person, time)

    def _search(self, image: Array, time: float) -> None:
        known = np.array([one.person.box for one in self._followed if one.person is not None]).reshape(-1, 4)
        chosen, moved = self._scan.plan(image, known)
        found = self._backend.pool.map(lambda tile: self._backend.detector(image, tile), chosen)
        self._nobody = [(region, since) for region, since in self._nobody if time - since < FORGIVE]
        known_regions = [one.region for one in self._followed if one.person is not None]
        known_regions += [region for region, _ in self._nobody]
        before = len(self._followed)
        for region in _distinct(_proposed([hit for hits in found for hit in hits], moved), known_regions):
            person = self._confirm(image, region, time)
            if person is None:
                # A tree or a poster is proposed again and again; it is not examined each time.
                self._nobody.append((region, time))
        settled = len(self._followed) == before > 0 and all(one.person is not None for one in self._followed)
        self._quiet = min(self._quiet + 1, QUIET) if settled else 1
        self._next_search = time + self._quiet * self._backend.settings.detect_every

    def _confirm(self, image: Array, region: Region, time: float) -> Person | None:
        """Follow the person in the region, unless it is empty or the person is already followed."""
        look = _examined(region, lambda part: self._backend.look(image, [part])[0])
        if look is None or look.person is None or is_seen(look.person, self._followed):
            return None
        self._followed.append(Followed(look.next_region, time, person=look.person))
        return look.person


class LiveBlazePoseWatcher(BlazePoseWatcher):
    """A watcher that does not delay a frame in which people are followed: a search covers few tiles and runs in a
    thread of its own beside the next frames. People that it finds are followed from the first frame after it has
    finished.

    On a machine so busy that walkers have left the place when a search ends, a search delays its frame while no person
    is followed; the frames that come meanwhile are dropped as late, and the person found is in the present frame.
    """

    def __init__(self, backend: BlazePose) -> None:
        super().__init__(backend)
        self._scan = Scan(LIVE_TILES, spread=True)
        self._running: Future[tuple[list[Look], list[Region]]] | None = None
        self._began = 0.0
        self._delayed: float | None = None
        self._too_slow = False

    def see(self, image: Array, time: float) -> list[Person]:
        """All people in the frame, each once.

        Args:
            image: RGB uint8 (H, W, 3).
            time: seconds of the stream, rising.
        """
        if self._running is not None and self._running.done():
            found, nobody = self._running.result()
            self._running = None
            self._too_slow = time - self._began > OUT_OF_DATE
            self._nobody += [(region, self._began) for region in nobody]
            for look in found:
                if look.person is not None and not is_seen(look.person, self._followed):
                    self._followed.append(Followed(look.next_region, self._began))
        if self._delayed is not None:
            self._too_slow, self._delayed = time - self._delayed > OUT_OF_DATE, None
        return super().see(image, time)

    def _search(self, image: Array, time: float) -> None:
        if self._running is not None:
            self._next_search = time
            return
        if self._too_slow and not self._followed:
            super()._search(image, time)
            self._next_search, self._delayed = time + LIVE_EVERY, time
            return
        self._next_search = time + (LIVE_RARELY if self._followed else LIVE_EVERY)
        people = [one.person for one in self._followed if one.person is not None]
        chosen, moved = self._scan.plan(image, np.array([person.box for person in people]).reshape(-1, 4))
        self._nobody = [(region, since) for region, since in self._nobody if time - since < FORGIVE]
        known = [one.region for one in self._followed] + [region for region, _ in self._nobody]
        if chosen or len(moved):
            self._began = time
            tries = 1 if self._followed else LIVE_TRIES
            self._running = self._backend.searches.submit(self._hunt, image, chosen, moved, known, tries)

    def _hunt(
        self, image: Array, chosen: list[Tile], moved: Array, known: list[Region], tries: int
    ) -> tuple[list[Look], list[Region]]:
        """Results with a person, and regions without one."""
        hits = [hit for tile in chosen for hit in self._backend.detector(image, tile)]
        found, nobody = [], []
        for region in _distinct(_proposed(hits, moved), known)[:tries]:
            look = _examined(region, lambda part: self._backend.landmarker(image, part))
            if look is None:
                nobody.append(region)
            else:
                found.append(look)
        return found, nobody


def _examined(region: Region, look: Callable[[Region], Look]) -> Look | None:
    """What a candidate's region shows if it is a person: a first look refines the region, a second one is judged."""
    first = look(region)
    if first.person is None or first.presence < GLIMPSE:
        return None
    second = look(first.next_region)
    return second if _believable(second, FOUND) else None


def _proposed(hits: list[tuple[float, Region]], moved: Array) -> list[Region]:
    """Candidate regions: detections, best first, then motion."""
    boxes = [Region((x1 + x2) / 2, (y1 + y2) / 2, ROI_GROWTH * (y2 - y1)) for x1, y1, x2, y2 in moved.tolist()]
    found = [region for _, region in sorted(hits, key=lambda hit: -hit[0])] + boxes
    return [region for region in found if region.side >= SMALLEST]


def _stand_back() -> None:
    """Lower the priority of this thread, if the system supports it."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SEARCH_NICENESS)


def _surprise(one: Followed, look: Look, time: float) -> float:
    """Distance of the sighting from the expected place, in region sizes."""
    expected = one.expected(time)
    return float(np.hypot(look.next_region.x - expected.x, look.next_region.y - expected.y)) / expected.side


def _believable(look: Look, presence: float) -> bool:
    """The presence flag does not reject walls, so mask and joints are checked too."""
    person = look.person
    if person is None or look.presence < presence or person.score < MIN_SCORE:
        return False
    x1, y1, x2, y2 = person.window
    rows, columns = person.mask.shape
    at = ((person.joints[:, :2] - (x1, y1)) / (x2 - x1, y2 - y1) * (columns, rows)).astype(int)
    within = ((at >= 0) & (at < (columns, rows))).all(1)
    inside = person.mask[at[within, 1], at[within, 0]] > 0.3
    shoulders, hips = person.joints[5:7, :2].mean(0), person.joints[11:13, :2].mean(0)
    upright = hips[1] - shoulders[1] > abs(hips[0] - shoulders[0])
    return bool(upright and inside.sum() >= MIN_INSIDE * max(within.sum(), 6))


def _distinct(regions: list[Region], known: list[Region]) -> list[Region]:
    """Regions, best first, that are neither the same as a better one nor as a known one."""
    fresh: list[Region] = []
    for region in regions:
        near = (
            np.hypot(region.x - other.x, region.y - other.y) < 0.2 * max(region.side, other.side)
            for other in known + fresh
        )
        if not any(near):
            fresh.append(region)
    return fresh
