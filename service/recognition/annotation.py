"""The labels of an annotated clip: a name only where the verdict is a match."""

from __future__ import annotations

from pathlib import Path

from gaitkeeper.gallery.types import Identification, Verdict
from gaitkeeper.pipelines.annotate import Colour, Label, write_annotated
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.service.files import written
from gaitkeeper.service.recogniser import Progress
from gaitkeeper.service.recognition.clip_walkers import ClipSource, Seen, opened
from gaitkeeper.service.schemas import IdentifyReply, Skipped

COLOURS: dict[Verdict, Colour] = {
    Verdict.MATCH: (53, 181, 108),
    Verdict.UNKNOWN: (240, 160, 60),
    Verdict.INCONCLUSIVE: (170, 180, 192),
}
"""The page's colours of the verdicts, as in ``service/page/base.css``."""


def draw_verdicts(
    path: Path,
    pipeline: Pipeline,
    clip: ClipSource,
    seen: Seen,
    reply: IdentifyReply,
    *,
    max_bytes: int | None = None,
    on_progress: Progress | None = None,
    deadline: float | None = None,
) -> None:
    """Write a clip with boxes, names and verdicts. The file appears when it is complete; only its owner may read it.

    Args:
        path: the MP4 file.
        pipeline: pipeline that processed the clip.
        clip: the clip.
        seen: what the pipeline found in it.
        reply: the verdicts on its walkers.
        max_bytes: largest size of the file.
        on_progress: called with the stage and its completed fraction.
        deadline: time of ``time.monotonic`` at which to give up.

    Raises:
        CannotWrite: the file cannot be written.
        TooLarge, DeadlineExceeded, ClipError: see :func:`gaitkeeper.pipelines.annotate.write_annotated`.
    """
    with opened(clip) as own, written(path) as part:
        write_annotated(
            part,
            pipeline.decoder,
            own.file,
            seen.result,
            labels_of(reply),
            threads=pipeline.settings.threads,
            max_bytes=max_bytes,
            deadline=deadline,
            on_progress=None if on_progress is None else lambda share: on_progress("drawing the clip", share),
        )


def labels_of(reply: IdentifyReply) -> dict[int, Label]:
    """The label of everybody who was followed, by track: the walkers, and the people who were skipped."""
    walkers = {person.track: _label(person) for person in reply.people}
    return walkers | {one.track: _unjudged(one) for one in reply.skipped}


def _label(person: Identification) -> Label:
    if person.verdict is Verdict.MATCH:
        text = f"{person.candidates[0].subject} · match"
    else:
        text = str(person.verdict) if person.reason is None else f"{person.verdict}: {_words(person.reason)}"
    return Label(f"#{person.track} {text}", COLOURS[person.verdict])


def _unjudged(one: Skipped) -> Label:
    return Label(f"#{one.track} not judged: {_words(one.reason)}", COLOURS[Verdict.INCONCLUSIVE])


def _words(code: str) -> str:
    return code.replace("_", " ")
