"""Handles in memory: they expire, are bounded, belong to a key, and hold sequences and never a clip."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pytest

from gaitkeeper.pipelines.decode import ClipInfo
from gaitkeeper.pipelines.pipeline import ClipResult
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.auth.access import working_for
from gaitkeeper.service.errors import UnknownHandle
from gaitkeeper.service.recognition import canary
from gaitkeeper.service.recognition.clip_walkers import Seen
from gaitkeeper.service.recognition.handles import Handles
from gaitkeeper.service.recognition.looks import walkers_reply

PATIENCE = 60.0
NOISE = np.random.default_rng(0)
Open = Callable[..., Handles]


@pytest.fixture
def open_handles() -> Iterator[Open]:
    """Handles with the test's limits, closed after it."""
    with ExitStack() as stack:

        def opened(seconds: float = 600, most: int = 10, most_bytes: int = 2**30) -> Handles:
            made = Handles(seconds, most, most_bytes)
            stack.callback(made.close)
            return made

        yield opened


def walker(track: int, frames: int = 30) -> GaitSequence:
    """A walker whose file is large, because noise cannot be compressed."""
    own = canary.sequence("blazepose-full/1", frames=frames)
    joints = NOISE.random(own.joints.shape, np.float32)
    return replace(own, joints=joints, track=track)


def seen(*walkers: GaitSequence, sha256: str = "0" * 64) -> Seen:
    result = ClipResult(
        clip=ClipInfo(320, 240, 30.0, 30, 1.0, "h264", "mp4"),
        sequences=list(walkers),
        skipped=[],
        timings={"decode": 1.0, "total": 2.0},
        thumbnails={**{one.track: b"jpeg" for one in walkers}, 99: b"somebody who was skipped"},
        picture=canary.picture(),
        spans={one.track: (0.0, 1.0) for one in walkers},
    )
    return Seen(result, sha256, "door")


def keep(handles: Handles, look: Seen, owner: str = "") -> str | None:
    with working_for(owner):
        return handles.keep(look, walkers_reply(look, "default", None, {})).handle


def test_what_is_kept_is_what_was_seen_without_the_clip(open_handles: Open) -> None:
    handles, look = open_handles(), seen(walker(1), walker(3))
    before = time.time()
    reply = handles.keep(look, walkers_reply(look, "default", None, {3: 1}))
    assert reply.handle is not None and len(reply.handle) == 22
    assert reply.expires is not None and 590 < reply.expires.timestamp() - before < 660
    kept = handles.look(reply.handle)
    assert kept.reply == reply and [one.same_as for one in reply.walkers] == [None, 1]
    again = kept.again()
    assert all(a.equals(b) for a, b in zip(again.result.sequences, look.result.sequences, strict=True))
    assert (again.sha256, again.camera, again.result.spans) == (look.sha256, "door", look.result.spans)
    assert again.result.timings == {"total": 0.0}
    assert kept.seen.result.picture.size == 3, "no picture of the clip"
    assert set(kept.seen.result.thumbnails) == {1, 3}, "of walkers alone"
    assert handles.size == kept.size > sum(map(len, kept.walks)) > 0


def test_a_handle_is_erased_when_it_expires_without_being_asked_for(open_handles: Open) -> None:
    handles = open_handles(seconds=0.2)
    handle = keep(handles, seen(walker(1)))
    assert handle is not None
    end = time.monotonic() + PATIENCE
    while len(handles) and time.monotonic() < end:
        time.sleep(0.02)
    assert (len(handles), handles.size) == (0, 0)
    with pytest.raises(UnknownHandle):
        handles.look(handle)
    assert keep(handles, seen(walker(1))) is not None, "more can be kept after all have expired"


def test_a_handle_belongs_to_its_key(open_handles: Open) -> None:
    handles = open_handles()
    handle = keep(handles, seen(walker(1)), "one")
    assert handle is not None
    for other in ("", "two"):
        with working_for(other):
            for ask in (handles.look, handles.erase):
                with pytest.raises(UnknownHandle):
                    ask(handle)
    with working_for("one"):
        assert handles.look(handle).owner == "one"
        assert handles.erase(handle).walkers == 1
        with pytest.raises(UnknownHandle):
            handles.erase(handle)
    assert handles.size == 0


def test_one_more_takes_the_place_of_the_oldest_of_the_greediest(open_handles: Open) -> None:
    handles = open_handles(most=3)
    other = keep(handles, seen(walker(1)), "other")
    first, second, third = (keep(handles, seen(walker(1)), "greedy") for _ in range(3))
    assert len(handles) == 3
    with working_for("other"):
        assert handles.look(str(other)), "another's is not driven out, though it is the oldest"
    with working_for("greedy"):
        assert handles.look(str(second)) and handles.look(str(third))
        with pytest.raises(UnknownHandle):
            handles.look(str(first))


def test_their_bytes_are_bounded(open_handles: Open) -> None:
    one = seen(walker(1))
    size = _size(open_handles(), one)
    handles = open_handles(most_bytes=2 * size + size // 2)
    made = [keep(handles, seen(walker(1))) for _ in range(3)]
    assert len(handles) == 2 and handles.size <= 2 * size + size // 2
    with pytest.raises(UnknownHandle):
        handles.look(str(made[0]))
    assert keep(handles, seen(*(walker(track, 60) for track in range(1, 9)))) is None, "larger than all the room"
    assert len(handles) == 2, "and nothing made way for it"
    assert keep(open_handles(most=0), one) is None


def _size(handles: Handles, look: Seen) -> int:
    keep(handles, look)
    return handles.size


def test_the_handles_of_a_clip_are_erased_with_a_subject_of_it(open_handles: Open) -> None:
    handles = open_handles()
    gone, kept = keep(handles, seen(walker(1), sha256="a" * 64), "x"), keep(handles, seen(walker(1), sha256="b" * 64))
    handles.erase_clips({"a" * 64, "c" * 64})
    assert handles.look(str(kept))
    with pytest.raises(UnknownHandle), working_for("x"):
        handles.look(str(gone))


def test_all_are_erased_at_the_end_and_no_thread_is_left() -> None:
    handles, before = Handles(600, 10, 2**30), set(threading.enumerate())
    handle = keep(handles, seen(walker(1)))
    (sweeper,) = (thread for thread in set(threading.enumerate()) - before if thread.name == "handles")
    handles.close()
    with pytest.raises(UnknownHandle):
        handles.look(str(handle))
    sweeper.join(PATIENCE)
    assert not sweeper.is_alive() and handles.size == 0
