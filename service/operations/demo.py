"""The demo: enrols the people of some clips, identifies those of others, and shows the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gaitkeeper.gallery.types import Template
from gaitkeeper.models.errors import GaitkeeperError
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.errors import BadRequest
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.recognition.clip_walkers import Seen
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.schemas import DemoProbe, DemoReply, FailedClip, IdentifyReply

CLIPS = Path(__file__).with_name("demo_clips")
MOST = 5
"""Number of people in ``CLIPS``."""


@dataclass(frozen=True)
class Walk:
    """A clip and the subject who walks in it; None if unknown."""

    clip: Path
    subject: str | None = None


@dataclass(frozen=True, eq=False)
class Enrolled:
    """One walker who was enrolled."""

    clip: Path
    template: Template
    sequence: GaitSequence
    thumbnail: bytes


@dataclass(frozen=True, eq=False)
class Probe:
    """One clip whose walkers were identified."""

    clip: Path
    truth: str | None
    seen: Seen
    reply: IdentifyReply

    def sequence(self, track: int) -> GaitSequence:
        """The walker of that track."""
        return self.seen.walker(track)

    def thumbnail(self, track: int) -> bytes:
        """JPEG of the walker of that track."""
        return self.seen.result.thumbnails[track]

    def is_truth(self, subject: str) -> bool | None:
        """Whether this subject walks in the clip; None if unknown."""
        return None if self.truth is None else subject == self.truth


@dataclass(frozen=True, eq=False)
class Demo:
    """Result of the demo.

    Attributes:
        enrolled: the enrolled walkers.
        probes: the clips that were identified.
        failed: clips that could not be used, with the reasons.
        rendered: True if the project rendered the clips.
    """

    enrolled: list[Enrolled]
    probes: list[Probe]
    failed: list[tuple[Path, GaitkeeperError]]
    rendered: bool

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the gallery."""
        return self.enrolled[0].template.fingerprint

    @property
    def calibrated(self) -> bool:
        """False where no verdict can be given."""
        return any(p.threshold.value is not None for probe in self.probes for p in probe.reply.people)

    @property
    def rank1(self) -> tuple[int, int]:
        """Number of walkers whose nearest candidate is correct, and number of walkers with a known subject."""
        known = [(p, probe) for probe in self.probes if probe.truth is not None for p in probe.reply.people]
        return sum(bool(p.candidates) and p.candidates[0].subject == probe.truth for p, probe in known), len(known)

    def reply(self, report: Path) -> DemoReply:
        """The outcome as JSON has it."""
        hits, known = self.rank1
        return DemoReply(
            enrolled=[item.template for item in self.enrolled],
            probes=[DemoProbe(file=p.clip.name, truth=p.truth, reply=p.reply) for p in self.probes],
            failed=[FailedClip(file=clip.name, code=e.code, detail=e.detail) for clip, e in self.failed],
            rank1=hits,
            known=known,
            report=str(report),
        )


def run(
    engine: Engine,
    gallery: Sequence[Walk],
    probes: Sequence[Walk],
    *,
    top_k: int = 5,
    rendered: bool = False,
    on_progress: Progress | None = None,
) -> Demo:
    """Enrol all walkers in the gallery's clips and identify all walkers in the probes'.

    Args:
        engine: engine with the demo's own store.
        gallery: clips to enrol from. A walk without a subject may show several people: they become person-1, person-2
            and so on, in order of appearance.
        probes: clips to identify.
        top_k: candidates per walker.
        rendered: whether the project made the clips.
        on_progress: called with the current clip, and the completed fraction of all clips.

    Raises:
        ClipError: a clip to enrol from cannot be used. A probe that cannot be used is listed as failed instead.
    """
    tell = on_progress or (lambda *_: None)
    count = len(gallery) + len(probes)
    enrolled: list[Enrolled] = []
    for number, walk in enumerate(gallery):
        enrolled += _enroll(engine, walk, len(enrolled), _part(tell, f"enrolling {walk.clip.name}", number, count))
    named, failed = [], []
    for number, walk in enumerate(probes, len(gallery)):
        try:
            seen = engine.see(walk.clip, _part(tell, f"identifying {walk.clip.name}", number, count))
        except GaitkeeperError as error:
            failed.append((walk.clip, error))
            continue
        reply = engine.identification(seen, engine.gallery("default"), top_k=top_k)
        named.append(Probe(walk.clip, walk.subject, seen, reply))
    return Demo(enrolled, named, failed, rendered)


def shipped_walks(people: int = MOST) -> tuple[list[Walk], list[Walk]]:
    """Rendered people who ship with the service: for each, one clip to enrol and one to identify.

    Args:
        people: number of people, at most ``MOST``.
    """
    names = [f"person-{number}" for number in range(1, people + 1)]
    gallery, probes = ([Walk(CLIPS / f"{name}-{role}.mp4", name) for name in names] for role in ("gallery", "probe"))
    return gallery, probes


def fresh_store(folder: Path) -> str:
    """URL of an empty store in the folder. The store of an earlier demo is deleted."""
    for name in ("gallery.db", "gallery.db-wal", "gallery.db-shm"):
        (folder / name).unlink(missing_ok=True)
    return f"sqlite:///{folder / 'gallery.db'}"


def split(clips: Sequence[Path]) -> tuple[list[Walk], list[Walk]]:
    """A user's clips: the first one's walkers are enrolled, the others' identified.

    Raises:
        BadRequest: there is no clip to identify.
    """
    if len(clips) < 2:
        raise BadRequest("The demo needs at least two clips: one to enrol from, and others to identify.")
    return [Walk(clips[0])], [Walk(clip) for clip in clips[1:]]


def _enroll(engine: Engine, walk: Walk, known: int, on_progress: Progress) -> list[Enrolled]:
    seen = engine.see(walk.clip, on_progress)
    walkers = seen.result.sequences if walk.subject is None else [seen.walker(None)]
    gallery = engine.gallery("default")
    return [
        Enrolled(
            walk.clip,
            gallery.enroll(walk.subject or f"person-{known + i}", sequence, clip_sha256=seen.sha256),
            sequence,
            seen.result.thumbnails[sequence.track],
        )
        for i, sequence in enumerate(walkers, 1)
    ]


def _part(tell: Progress, what: str, before: int, count: int) -> Progress:
    """Convert the progress within one clip to that of all ``count`` clips, of which ``before`` are done."""
    return lambda _, share: tell(what, (before + share) / count)
