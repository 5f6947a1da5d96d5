"""Archives of clips, enrolled and identified once each, on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from serving import Clips

from gaitkeeper.gallery.errors import StoreUnavailable
from gaitkeeper.pipelines.errors import TooLarge
from gaitkeeper.pipelines.pipeline import Pipeline
from gaitkeeper.service.batch.archive import Bucket, Folder, Item, archive_at
from gaitkeeper.service.batch.journal import Journal
from gaitkeeper.service.batch.lines import Line, Order, Trouble
from gaitkeeper.service.batch.run import Executor, here, run
from gaitkeeper.service.batch.worker import WAITS, Worker
from gaitkeeper.service.errors import BadSettings, ClusterUnavailable, NoArchive, OtherResults
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings

MADE = datetime(2026, 1, 1, tzinfo=UTC)


def order(place: object, kind: str = "enroll", **fields: object) -> Order:
    return Order.model_validate({"kind": kind, "place": str(place), "collection": "default", "made": MADE, **fields})


def place_clip(folder: Path, clip: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(clip, folder / name)


@pytest.fixture
def archive(tmp_path: Path, clip: Clips) -> Path:
    """Two people, and what is wrong with archives."""
    folder = tmp_path / "archive"
    for source, name in (
        ("ann-1", "ann/1.mp4"),
        ("ann-1", "ann/again/copy.MP4"),
        ("bob-1", "bob/1.mp4"),
        ("ann-1", "eve/1.mp4"),
        ("empty", "nobody/1.mp4"),
        ("ann-2", "loose.mp4"),
    ):
        place_clip(folder, clip(source), name)
    (folder / "ann" / "notes.txt").write_text("not a clip")
    (folder / "bob" / "torn.mp4").write_bytes(b"")
    place_clip(folder, clip("ann-2"), ".hidden/1.mp4")
    (folder / "bob" / "link.mp4").symlink_to(clip("ann-2"))
    return folder


def test_an_archive_is_enrolled_once_and_then_identified(
    gaitkeeper_batch: Callable[..., tuple[int, dict[str, object]]],
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, report = gaitkeeper_batch("enroll", archive, "--workers", 1)
    assert code == 2  # what failed is for the caller to mend
    assert (report["clips"], report["done"], report["earlier"], report["duplicates"]) == (7, 3, 0, 1)
    assert {one["clip"]: one["code"] for one in report["failed"]} == {
        "bob/torn.mp4": "empty_upload",
        "eve/1.mp4": "clip_of_other_subject",
        "loose.mp4": "invalid_request",
        "nobody/1.mp4": "no_person",
    }
    with Engine(Settings()) as engine:
        assert {s.subject: s.templates for s in engine.subjects().subjects} == {"ann": 1, "bob": 1}

    results = tmp_path / "enrolled.jsonl"
    assert results.stat().st_mode & 0o777 == 0o600
    lines = [Line.model_validate_json(text) for text in results.read_text().splitlines()[1:]]
    assert len(lines) == 7 and all(len(line.sha256 or "") == 64 for line in lines if line.name != "bob/torn.mp4")

    with monkeypatch.context() as patched:
        patched.setattr(Pipeline, "process", None)  # nothing is looked at again
        assert gaitkeeper_batch("enroll", archive)[1] | {"seconds": 0} == report | {"earlier": 7, "seconds": 0}
        # Without its results, too, whoever is enrolled is told by the clip's digest.
        shutil.rmtree(archive / "nobody"), (archive / "loose.mp4").unlink(), shutil.rmtree(archive / "eve")
        (archive / "bob" / "torn.mp4").unlink()
        code, report = gaitkeeper_batch("enroll", archive, "--out", "other.jsonl")
        assert (code, report["done"], report["duplicates"], report["failed"]) == (0, 3, 3, [])

    code, report = gaitkeeper_batch("identify", archive.as_uri(), "--top-k", 1)
    assert (code, report["done"], report["failed"]) == (0, 3, [])
    lines = [Line.model_validate_json(text) for text in (tmp_path / "identified.jsonl").read_text().splitlines()[1:]]
    assert {line.name: line.people[0].candidates[0].subject for line in lines} == {
        "ann/1.mp4": "ann",
        "ann/again/copy.MP4": "ann",
        "bob/1.mp4": "bob",
    }


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_an_archive_lists_and_reads_its_clips(tmp_path: Path, kind: str) -> None:
    for name in ("b/2.mp4", "a/deep/1.webm", "a/.part.mp4", ".git/3.mp4", "a/notes.txt", "top.avi"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode() * 300_000)
    archive = archive_at(tmp_path.as_uri()) if kind == "folder" else Bucket(tmp_path.as_uri())
    assert isinstance(archive, Folder if kind == "folder" else Bucket)
    items = {item.name: item for item in archive.items()}
    assert sorted(items) == ["a/deep/1.webm", "b/2.mp4", "top.avi"]
    assert [items[name].subject for name in sorted(items)] == ["a", "b", None]
    item = items["b/2.mp4"]
    assert (item.size, item.changed) == (2_100_000, (tmp_path / "b/2.mp4").stat().st_mtime_ns)
    with archive.opened(item, 2_100_000) as file:
        assert file.read() == b"b/2.mp4" * 300_000 and file.seek(0) == 0
    with pytest.raises(TooLarge), archive.opened(item, 2_099_999):
        pass
    # One that grows after it was listed is not read to its end, either.
    (tmp_path / "b/2.mp4").write_bytes(bytes(2_200_000))
    with pytest.raises(TooLarge), archive.opened(item, 2_100_000):
        pass


def test_a_name_that_is_no_utf_8_stops_no_other_clip(
    gaitkeeper_batch: Callable[..., tuple[int, dict[str, Any]]], clip: Clips, tmp_path: Path
) -> None:
    folder = tmp_path / "archive"
    latin = os.fsdecode(b"caf\xe9")
    for source, name in (
        ("ann-1", f"ann/{latin}.mp4"),
        ("ann-1", "ann/caf\\xe9.mp4"),  # whose name is spelt as the other is shown
        ("bob-1", f"{latin}/1.mp4"),
        ("bob-1", "bob/1.mp4"),
    ):
        place_clip(folder, clip(source), name)
    os.mkfifo(folder / "bob" / "pipe.mp4")
    code, report = gaitkeeper_batch("enroll", folder)
    assert (code, report["clips"], report["done"]) == (2, 5, 3)
    assert {one["clip"]: (one["code"], "UTF-8" in one["detail"]) for one in report["failed"]} == {
        "caf\\xe9/1.mp4": ("invalid_request", True),
        "bob/pipe.mp4": ("unsupported_media", False),
    }
    assert gaitkeeper_batch("enroll", folder)[1]["earlier"] == 5
    with pytest.raises(NoArchive, match="no UTF-8"):
        archive_at(latin)


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("nowhere", NoArchive),
        ("file:///nowhere/at/all", NoArchive),
        ("gopher://hole/x", NoArchive),
        ("s3://key:secret@bucket/x", BadSettings),
    ],
)
def test_what_is_no_archive_is_told_of(place: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        list(archive_at(place).items())


def settled(items: list[Item], code: str | None = None) -> Iterator[Line]:
    for item in items:
        problem = None if code is None else Trouble(code=code, detail="No.")
        yield Line(**item.model_dump(), seconds=0.0, problem=problem)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """An archive of three files."""
    folder = tmp_path / "three"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (folder / name).write_bytes(name.encode())
    return folder


def doing(done: list[str], code: str | None = None, stop_after: int | None = None) -> Executor:
    """Settles every clip, and is killed after some of them."""

    def do(order: Order, items: list[Item]) -> Iterator[Line]:
        for line in settled(items, code):
            if len(done) == stop_after:
                raise KeyboardInterrupt
            done.append(line.name)
            yield line

    return do


def test_a_run_goes_on_where_it_was_killed(three: Path, tmp_path: Path) -> None:
    results, done = tmp_path / "results.jsonl", list[str]()
    with pytest.raises(KeyboardInterrupt):
        run(order(three), results, doing(done, stop_after=2))
    with results.open("ab") as file:
        file.write(b'{"name": "c.mp4", "si')  # the line that was being written
    report = run(order(three), results, doing(done))
    assert done == ["a.mp4", "b.mp4", "c.mp4"]
    assert (report.clips, report.done, report.earlier) == (3, 3, 2)
    assert len(results.read_text().splitlines()) == 4
    os.utime(three / "a.mp4", ns=(1, 1))
    (three / "b.mp4").write_bytes(b"another clip of that name")
    assert run(order(three), results, doing(done)).earlier == 1
    assert sorted(done[3:]) == ["a.mp4", "b.mp4"]


def test_what_failed_is_tried_again_where_that_may_help(three: Path, tmp_path: Path) -> None:
    for code, again in (("no_person", []), ("store_unavailable", ["a.mp4", "b.mp4", "c.mp4"])):
        results, done = tmp_path / code, list[str]()
        assert len(run(order(three), results, doing([], code)).failed) == 3
        assert run(order(three), results, doing(done)).done == len(again)
        assert done == again
        assert run(order(three), results, doing([]), retry=True).done == 3


def test_a_file_of_results_belongs_to_one_run(three: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    run(order(three), results, doing([]))
    for other in (order(three, "identify"), order(three, camera="door"), order(tmp_path)):
        with pytest.raises(OtherResults, match="another run"):
            run(other, results, doing([]))
    with Journal(results, order(three)), pytest.raises(OtherResults, match="being written"):
        run(order(three), results, doing([]))
    results.write_text(results.read_text() + "{}\n")
    with pytest.raises(OtherResults, match="line 5"):
        run(order(three), results, doing([]))


def test_a_store_that_is_gone_is_waited_for(three: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Engine(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}")) as engine:
        made = engine.gallery("default").collection.created
        asked = order(three, made=made, kind="identify")
        with pytest.raises(ClusterUnavailable, match="another one"):
            Worker(engine, order(three))
        worker, waited = Worker(engine, asked), list[float]()

        def gone(*args: object, **fields: object) -> None:
            raise StoreUnavailable("Gone.")

        monkeypatch.setattr(engine, "identify", gone)
        item = next(Folder(three).items())
        line = worker(item, waited.append)
        assert (line.problem, line.final, tuple(waited)) == (
            Trouble(code="store_unavailable", detail="Gone."),
            False,
            WAITS,
        )
        monkeypatch.setattr(engine, "identify", lambda *args, **fields: 1 / 0)
        assert worker(item).problem == Trouble(code="internal", detail="ZeroDivisionError: division by zero")
        lines = list(here(engine, 2)(asked, list(Folder(three).items())))
        assert sorted(line.name for line in lines) == ["a.mp4", "b.mp4", "c.mp4"]


def test_the_summary_names_a_clip_whose_walker_matches_another_subject(
    calibrated: None,
    gaitkeeper_batch: Callable[..., tuple[int, dict[str, object]]],
    clip: Clips,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "two"
    place_clip(folder, clip("ann-1"), "ann/1.mp4")
    place_clip(folder, clip("bob-1"), "bob/1.mp4")
    code, report = gaitkeeper_batch("enroll", folder, "--workers", 1, "--network", "gei")
    assert (code, report["done"], report["failed"]) == (0, 2, [])
    [warned] = report["warned"]
    assert (warned["clip"], warned["subject"], warned["other"]) == ("bob/1.mp4", "bob", "ann")
    assert "ann" in warned["detail"]
    other = ("--collection", "other", "--network", "gei", "--out", "strict.jsonl", "--workers", 1)
    strict, refused = gaitkeeper_batch("enroll", folder, "--strict", *other)
    assert (strict, refused["done"], refused["warned"]) == (2, 1, [])
    assert [one["code"] for one in refused["failed"]] == ["looks_like_other_subject"]
