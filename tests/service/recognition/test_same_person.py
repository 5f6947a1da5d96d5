"""A person who leaves and returns is two tracks, and every answer says that they are one person; of two it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from serving import Clips, Service, running
from streaming import in_step, jpegs, waited_for
from typer.testing import CliRunner

from gaitkeeper.pipelines.errors import MultiplePeople
from gaitkeeper.service.cli import app
from gaitkeeper.service.client.live import LiveStream
from gaitkeeper.service.live import session
from gaitkeeper.service.live.events import Event, VerdictEvent
from gaitkeeper.service.live.passing import Passing
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.settings import Settings

PATIENCE = 60.0
EXPECTED = [("returns", [None, 1]), ("another", [None, None])]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, clip: Clips) -> Iterator[Service]:
    """A service that knows one person, who is in no clip here."""
    store = tmp_path_factory.mktemp("same") / "gallery.db"
    with running(Settings(store=f"sqlite:///{store}"), store) as made:
        made.client.enroll(clip("cid-1"), "cid")
        yield made


@pytest.mark.parametrize(("name", "expected"), EXPECTED)
def test_identify_says_who_was_there_before(service: Service, clip: Clips, name: str, expected: list[object]) -> None:
    people = service.client.identify(clip(name)).people
    assert [person.track for person in people] == [1, 2]
    assert [person.same_as for person in people] == expected
    assert all(person.threshold.basis == "prior" for person in people), "too few are known for anything else"


def test_so_does_a_job(service: Service, clip: Clips) -> None:
    files = {"clip": clip("returns").read_bytes()}
    later = {"prefer": "respond-async"}
    reply = httpx.post(f"{service.url}/identify", files=files, headers=later, timeout=PATIENCE)
    assert reply.status_code == 202
    end = time.monotonic() + PATIENCE
    while (job := service.client.job(reply.json()["id"])).ended is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert job.result is not None and [person.same_as for person in job.result.people] == [None, 1]


@pytest.mark.parametrize(("name", "expected"), EXPECTED)
def test_the_refusal_to_choose_says_how_many_people_it_is(
    service: Service, clip: Clips, name: str, expected: list[object]
) -> None:
    for ask in (service.client.enroll, service.client.verify):
        with pytest.raises(MultiplePeople) as refused:
            ask(clip(name), "cid")
        assert [track["same_as"] for track in refused.value.extra["tracks"]] == expected
        people = "1 person walks in the clip, 2 times in all" if expected[1] else "2 people walk in the clip:"
        assert people in refused.value.detail
    assert service.client.enroll(clip("returns"), "ann", track=2).template.track == 2
    service.client.erase("ann")


@pytest.mark.parametrize(("name", "expected"), EXPECTED)
def test_windows_of_a_live_stream_are_compared_with_tracks_that_have_ended(
    clip: Clips, tmp_path: Path, name: str, expected: list[object]
) -> None:
    with Engine(Settings(store=f"sqlite:///{tmp_path}/gallery.db")) as engine:
        first, second = engine.see(clip(name)).result.sequences
        for ended in (True, False):
            passing = Passing(engine.gallery("default"), None)
            told = passing([first], [(1, 45)])
            if ended:
                passing.ended(first.track, (1, 47))
            told += passing([second], [(82, 125)])
            assert [one.same_as for one in told] == (expected if ended else [None, None])


def in_time(live: LiveStream, frames: list[tuple[float, bytes]], first: int, *, finish: bool = False) -> list[Event]:
    """All events of frames that are sent 30 times a second on their clock, numbered from a first one."""
    timed = [((first + i) / 30, data) for i, (_, data) in enumerate(frames)]
    return list(in_step(live, timed, "jpeg", first, finish=finish))


def test_a_live_stream_says_it_of_a_track_that_has_ended(
    service: Service, clip: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ann walks, the picture is empty for more than a second, and Ann walks again."""
    monkeypatch.setattr(session, "LAG", 600.0)  # on a busy machine half of the frames would be too late
    walk, empty = jpegs(clip("ann-long")), jpegs(clip("empty"))
    with service.client.stream() as live:
        sent = waited_for(live, walk[0][1], "jpeg")
        events = in_time(live, [*walk, *empty, *empty], sent)
        # However slow the machine, the next walk begins when a person has been found.
        sent = waited_for(live, walk[0][1], "jpeg", sent + len(walk) + 2 * len(empty))
        events += in_time(live, walk, sent, finish=True)
    told = [one for one in events if isinstance(one, VerdictEvent) and one.person is not None]
    assert {one.track for one in told} == {1, 2}
    assert {(one.track, one.person.same_as) for one in told if one.person} == {(1, None), (2, 1)}


def test_the_command_line_and_a_batch_say_it(
    service: Service,
    clip: Clips,
    tmp_path: Path,
    gaitkeeper_batch: Callable[..., tuple[int, dict[str, object]]],
) -> None:
    for name, times in (("returns", 1), ("another", 0)):
        shown = CliRunner().invoke(app, ["identify", str(clip(name)), "--server", service.url])
        assert shown.exit_code == 0 and shown.output.count("the same person as track 1") == times
    refused = CliRunner().invoke(app, ["enroll", str(clip("returns")), "-s", "ann", "--server", service.url])
    assert isinstance(refused.exception, MultiplePeople)
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "returns.mp4").write_bytes(clip("returns").read_bytes())
    code, report = gaitkeeper_batch("identify", folder, "--workers", 1)
    assert code == 0
    lines = [json.loads(line) for line in Path(str(report["results"])).read_text().splitlines()]
    [people] = [line["people"] for line in lines if line.get("people")]
    assert [person["same_as"] for person in people] == [None, 1]


def test_real_people(shared_data: Path, tmp_path: Path) -> None:
    """One of KTH's people passes four times; in the other clip one person follows another."""
    with Engine(Settings(store=f"sqlite:///{tmp_path}/gallery.db")) as engine:
        passes = engine.identify(shared_data / "kth" / "person01_walking_d1_uncomp.avi").people
        told = [person.same_as for person in passes]
        assert len(told) == 4 and told[0] is None and sum(track is not None for track in told) >= 2, told
        two = engine.identify(shared_data / "videos" / "road-bc.mp4").people
        assert len(two) == 2 and [person.same_as for person in two] == [None, None]
