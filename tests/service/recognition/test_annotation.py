"""A clip with boxes, names and verdicts, from the engine and from the command line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from serving import Clips, Run, Start

from gaitkeeper.gallery.types import Reason, Verdict
from gaitkeeper.service.errors import CannotWrite, JobCancelled
from gaitkeeper.service.http.openapi.examples import EXAMPLES
from gaitkeeper.service.recognition.annotation import COLOURS, labels_of
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.schemas import IdentifyReply
from gaitkeeper.service.settings import Settings

NAME = "ann"


@pytest.fixture(scope="module")
def engine(clip: Clips, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine in whose gallery is Ann."""
    store = tmp_path_factory.mktemp("annotation") / "gallery.db"
    with Engine(Settings(store=f"sqlite:///{store}")) as opened:
        opened.enroll(clip("ann-1"), NAME)
        yield opened


def frames(path: Path) -> list[tuple[float, np.ndarray]]:
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return [(float(one.time or 0), one.to_ndarray(format="rgb24")) for one in container.decode(video=0)]


def coloured(image: np.ndarray, box: Any, colour: tuple[int, int, int]) -> bool:
    """Whether the lower edge of a box has this colour."""
    x1, _, x2, y2 = np.round(box).astype(int)
    height, width = image.shape[:2]
    edge = image[min(y2, height - 1), max(x1, 0) : min(x2, width)].astype(int)
    return bool((np.abs(edge - colour).max(axis=1) < 70).mean() > 0.7)


def people(verdict: str, reason: str | None, subject: str = "alice") -> IdentifyReply:
    document = EXAMPLES["IdentifyReply"]
    candidates = [document["people"][0]["candidates"][0] | {"subject": subject}]
    person = document["people"][0] | {"track": 1, "verdict": verdict, "reason": reason, "candidates": candidates}
    skipped = [{"track": 2, "reason": "cut_off", "frames": 9, "usable": 0, "start": 0.0, "end": 0.3}]
    return IdentifyReply.model_validate(document | {"people": [person], "skipped": skipped})


def test_only_a_match_is_called_a_name() -> None:
    labels = labels_of(people("match", None))
    assert labels[1].text == "#1 alice · match" and labels[1].colour == COLOURS[Verdict.MATCH]
    assert labels[2].text == "#2 not judged: cut off"
    assert labels_of(people("unknown", None))[1].text == "#1 unknown"
    for reason in Reason:
        text = labels_of(people("inconclusive", reason))[1].text
        assert text == f"#1 inconclusive: {reason.replace('_', ' ')}" and "alice" not in text


def test_every_frame_shows_each_walker_with_the_colour_of_the_verdict(
    engine: Engine, clip: Clips, tmp_path: Path
) -> None:
    path = tmp_path / "out.mp4"
    stages: list[str] = []
    reply = engine.identify(clip("two"), annotate=path, boxes=True, on_progress=lambda stage, _: stages.append(stage))
    assert sorted(str(person.verdict) for person in reply.people) == ["match", "unknown"]
    assert stages[-1] == "drawing the clip" and reply.timings["annotate"] > 0
    assert list(reply.timings)[-1] == "total"
    shown = frames(path)
    assert len(shown) == reply.clip.frames and path.stat().st_mode & 0o77 == 0
    assert shown[0][1].shape == (reply.clip.height, reply.clip.width, 3)
    for person in reply.people:
        assert person.trail is not None
        boxes = np.array(person.trail.boxes)
        first, last = person.trail.times[0], person.trail.times[-1]
        inside = [(moment, image) for moment, image in shown if first <= moment + 1e-3 and moment - 1e-3 <= last]
        assert len(inside) >= 40
        for moment, image in inside:
            box = [np.interp(moment, person.trail.times, edge) for edge in boxes.T]
            assert coloured(image, box, COLOURS[person.verdict]), (person.track, moment)


def test_a_clip_is_annotated_upright(engine: Engine, clip: Clips, tmp_path: Path) -> None:
    reply = engine.identify(clip("ann-2-side"), annotate=tmp_path / "out.mp4", rotate=90, boxes=True)
    assert (reply.clip.width, reply.clip.height) == (480, 360)
    [person] = reply.people
    assert person.trail is not None
    middle = len(person.trail.times) // 2
    moment, image = min(frames(tmp_path / "out.mp4"), key=lambda one: abs(one[0] - person.trail.times[middle]))  # type: ignore[union-attr]
    assert image.shape == (360, 480, 3)
    assert coloured(image, person.trail.boxes[middle], COLOURS[person.verdict]), moment


def test_no_part_of_a_file_is_left_of_work_that_was_given_up(engine: Engine, clip: Clips, tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"before")

    def stop(stage: str, share: float) -> None:
        if stage == "drawing the clip" and share > 0.5:
            raise JobCancelled("Enough.")

    with pytest.raises(JobCancelled):
        engine.identify(clip("ann-1"), annotate=path, on_progress=stop)
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_refused_before_any_work(
    engine: Engine, clip: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(engine.pipeline), "process", lambda *_: pytest.fail("the clip was processed"))
    own = tmp_path / "own.mp4"
    own.write_bytes(clip("ann-1").read_bytes())
    (tmp_path / "folder.mp4").mkdir()
    for path in (own, tmp_path / "out.avi", tmp_path / "nowhere" / "out.mp4", tmp_path / "folder.mp4"):
        with pytest.raises(CannotWrite):
            engine.identify(own, annotate=path)
    assert own.read_bytes() == clip("ann-1").read_bytes()


def test_the_command_line_annotates_and_prints_a_table(command: Run, start: Start, clip: Clips, tmp_path: Path) -> None:
    service = start()
    service.client.enroll(clip("ann-1"), "=ann")
    for where in (("--store", f"sqlite:///{service.store}"), ("--server", service.url)):
        path = tmp_path / f"{where[0][2:]}.mp4"
        done = command("identify", clip("ann-2"), "--annotate", path, "--csv", *where)
        assert done.code == 0, done.err
        [row] = csv.DictReader(io.StringIO(done.out, newline=""))
        assert (row["verdict"], row["subject"], row["candidate"]) == ("match", "'=ann", "'=ann")
        assert len(frames(path)) == 48 and path.stat().st_mode & 0o77 == 0
    told = command("identify", clip("ann-2"), "--json", "--csv", "--server", service.url)
    assert told.code == 2 and "exclude each other" in told.err
    told = command("identify", clip("ann-2"), "--annotate", tmp_path / "out.mov", "--server", service.url)
    assert told.code == 2 and "[cannot_write]" in told.err
    assert json.loads(command("identify", clip("ann-2"), "--json", "--server", service.url).out)["people"]
