"""Build a folder of gait sequences from a folder of videos, with the project's own pipeline; can be resumed."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gaitkeeper.pipelines import Pipeline
from gaitkeeper.pipelines.errors import ClipError
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.training.datasets.sequences import SUFFIX
from gaitkeeper.training.errors import BadDataset

VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
REPORT = "report.json"
JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Outcome:
    """The result of one video.

    Attributes:
        video: its path below the folder of videos, with forward slashes.
        size, modified: bytes, and time of the last change in nanoseconds: a changed video is processed again.
        sequence: path of the written file, below the folder of sequences; None if the video was dropped.
        reason: code of the error for a dropped video, "multiple_people" for several walkers; else None.
        detail: the reason as a sentence.
        frames: usable frames of the sequence.
        skipped: frames of the walker left out, by reason.
        others: number of people without a sequence, by reason.
    """

    video: str
    size: int
    modified: int
    sequence: str | None
    reason: str | None = None
    detail: str | None = None
    frames: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildReport:
    """The results of all videos, in order of their names.

    Attributes:
        perception: the perception backend, with its version.
        outcomes: one per video.
        processed: number of videos processed in this run; the others were processed before.
    """

    perception: str
    outcomes: tuple[Outcome, ...]
    processed: int

    @property
    def dropped(self) -> dict[str, int]:
        """Number of videos without a sequence, by reason."""
        return dict(sorted(Counter(o.reason for o in self.outcomes if o.reason is not None).items()))

    @property
    def frames_skipped(self) -> dict[str, int]:
        """Number of frames left out of the written sequences, by reason."""
        total: Counter[str] = Counter()
        for outcome in self.outcomes:
            total.update(outcome.skipped)
        return dict(sorted(total.items()))

    def as_json(self) -> dict[str, Any]:
        """The contents of ``report.json``."""
        return {
            "perception": self.perception,
            "videos": len(self.outcomes),
            "sequences": sum(o.sequence is not None for o in self.outcomes),
            "dropped": self.dropped,
            "frames_skipped": self.frames_skipped,
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
        }


def build_dataset(
    videos: Path,
    out: Path,
    *,
    pipeline: Pipeline | None = None,
    heatmaps: bool = True,
    retry: bool = False,
    on_progress: Callable[[int, int, str], None] | None = None,
) -> BuildReport:
    """Write ``out/subject/condition-take/view.gait`` for every ``videos/subject/condition-take/view.mp4``.

    A video must show one walker: with several walkers the subject is unclear, and the video is dropped. Sequences are
    written atomically, and ``out/journal.jsonl`` has a line with the result of each video, so that an interrupted run
    resumes with the first video that is not in it. ``out/report.json`` is written at the end.

    Args:
        videos: folder; other files in it are ignored.
        out: folder, created if missing.
        pipeline: the pipeline; None for the default one.
        heatmaps: keep joint heatmaps.
        retry: process dropped videos again.
        on_progress: called with the number of finished videos, of all videos, and the name of the next.

    Raises:
        BadDataset: there are no such videos, two would write the same file, or ``out`` is from another pipeline.
        GaitkeeperError: the pipeline itself cannot run (weights are missing); a bad video does not raise.
    """
    paths = sorted(p for p in videos.glob("*/*/*") if p.suffix.lower() in VIDEOS and p.is_file())
    if not paths:
        raise BadDataset(f"No videos in {videos}: subject/condition-take/view.mp4 expected.")
    targets = Counter(path.with_suffix("") for path in paths)
    twice = [path for path, count in targets.items() if count > 1]
    if twice:
        raise BadDataset(f"Two videos would be one sequence: {twice[0]} has more than one suffix.")
    pipeline = pipeline or Pipeline()
    settings = pipeline.settings.model_dump(mode="json") | {"heatmaps": heatmaps}
    made_by = {"perception": pipeline.perception.name, "settings": settings}
    out.mkdir(parents=True, exist_ok=True)
    journal = out / JOURNAL
    known = _read_journal(journal, made_by)
    outcomes: list[Outcome] = []
    processed = 0
    with journal.open("a", encoding="utf-8") as lines:
        if not known and journal.stat().st_size == 0:
            _append(lines, made_by)
        for i, path in enumerate(paths):
            name = path.relative_to(videos).as_posix()
            if on_progress is not None:
                on_progress(i, len(paths), name)
            stat = path.stat()
            outcome = known.get(name)
            if outcome is None or not _holds(outcome, stat, out) or (retry and outcome.sequence is None):
                outcome = _process(path, name, stat, out, pipeline, heatmaps)
                processed += 1
                _append(lines, asdict(outcome))
            outcomes.append(outcome)
    report = BuildReport(pipeline.perception.name, tuple(outcomes), processed)
    _write(out / REPORT, (json.dumps(report.as_json(), indent=2) + "\n").encode())
    if on_progress is not None:
        on_progress(len(paths), len(paths), "done")
    return report


def _process(path: Path, name: str, stat: os.stat_result, out: Path, pipeline: Pipeline, heatmaps: bool) -> Outcome:
    target = Path(name).with_suffix(SUFFIX)

    def dropped(reason: str, detail: str, others: Counter[str] | None = None) -> Outcome:
        (out / target).unlink(missing_ok=True)
        return Outcome(name, stat.st_size, stat.st_mtime_ns, None, reason, detail, others=dict(others or {}))

    try:
        result = pipeline.process(path)
    except ClipError as error:
        others = Counter(str(person["reason"]) for person in error.extra.get("skipped", []))
        return dropped(error.code, error.detail, others)
    others = Counter(skipped.reason for skipped in result.skipped)
    if len(result.sequences) > 1:
        return dropped("multiple_people", f"{len(result.sequences)} people walk in the video.", others)
    sequence: GaitSequence = result.sequences[0]
    if not heatmaps:
        sequence = sequence.without_heatmaps()
    (out / target).parent.mkdir(parents=True, exist_ok=True)
    _write(out / target, sequence.to_bytes())
    return Outcome(
        name,
        stat.st_size,
        stat.st_mtime_ns,
        target.as_posix(),
        frames=len(sequence),
        skipped=sequence.quality.skipped,
        others=dict(others),
    )


def _holds(outcome: Outcome, stat: os.stat_result, out: Path) -> bool:
    """True if the video is unchanged and its sequence still exists."""
    same = (outcome.size, outcome.modified) == (stat.st_size, stat.st_mtime_ns)
    return same and (outcome.sequence is None or (out / outcome.sequence).is_file())


def _read_journal(path: Path, made_by: dict[str, Any]) -> dict[str, Outcome]:
    """Results of earlier runs, by video; an incomplete last line after a kill is ignored."""
    if not path.is_file() or not path.stat().st_size:
        return {}
    text = path.read_text(encoding="utf-8")
    whole, _, rest = text.rpartition("\n")
    if rest:
        _write(path, (whole + "\n" if whole else "").encode())
    lines = whole.splitlines()
    if not lines:
        return {}
    try:
        if json.loads(lines[0]) != made_by:
            raise BadDataset(
                f"{path.parent} was made with other settings or another perception backend; choose a new folder."
            )
        outcomes = [Outcome(**json.loads(line)) for line in lines[1:]]
    except (ValueError, TypeError) as error:
        raise BadDataset(f"{path} cannot be read: {error}.") from error
    return {outcome.video: outcome for outcome in outcomes}


def _append(lines: Any, content: dict[str, Any]) -> None:
    lines.write(json.dumps(content, sort_keys=True) + "\n")
    lines.flush()
    os.fsync(lines.fileno())


def _write(path: Path, data: bytes) -> None:
    """Write the file atomically, even if the process is killed."""
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
