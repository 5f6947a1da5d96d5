"""What a look says of each walker, before it is known who they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gaitkeeper.pipelines.decode import ClipInfo
from gaitkeeper.pipelines.pipeline import ClipResult, SkippedTracklet
from gaitkeeper.pipelines.sequence import GaitSequence
from gaitkeeper.service.recognition import canary
from gaitkeeper.service.recognition.clip_walkers import Seen
from gaitkeeper.service.recognition.engine import Engine
from gaitkeeper.service.recognition.looks import walkers_reply
from gaitkeeper.service.settings import Settings


def walker(track: int, frames: int = 30, **quality: object) -> GaitSequence:
    own = canary.sequence("blazepose-full/1", frames=frames)
    return replace(own, track=track, quality=replace(own.quality, frames=frames, **quality))  # type: ignore[arg-type]


@pytest.mark.parametrize("exists", [True, False], ids=["in a collection", "in one that is not there yet"])
def test_a_look_says_who_cannot_be_enrolled_and_why(tmp_path: Path, exists: bool) -> None:
    walkers = [
        walker(1),
        walker(2, frames=9),
        walker(3, upright=0.3, turn=90),
        walker(4, likeness_changed=True),
        walker(5, mean_joint_score=0.1, mask_stability=0.2),
        walker(6, rate_hz=4.0),
    ]
    result = ClipResult(
        clip=ClipInfo(320, 240, 30.0, 30, 1.0, "h264", "mp4"),
        sequences=walkers,
        skipped=[SkippedTracklet(7, "cut_off", 40, 3, 0.0, 1.3)],
        timings={"total": 1.0},
        thumbnails={one.track: b"jpeg" for one in walkers},
        picture=canary.picture(),
        spans={one.track: (0.0, 1.0) for one in walkers},
    )
    with Engine(Settings(store=f"sqlite:///{tmp_path / 'gallery.db'}", network="gei")) as engine:
        gallery = engine.gallery("default") if exists else None
        reply = walkers_reply(Seen(result, "0" * 64), "default", gallery, {2: 1})
    codes = {one.track: one.unfit and one.unfit.code for one in reply.walkers}
    assert codes == {
        1: None,
        2: "too_short",
        3: "not_upright",
        4: "likeness_changed",
        5: "poor_quality",
        6: "poor_quality",
    }
    reasons = {one.track: one.unfit.reasons for one in reply.walkers if one.unfit}
    assert reasons == {2: [], 3: [], 4: ["likeness"], 5: ["joints", "masks"], 6: ["rate"]}
    assert [one.same_as for one in reply.walkers] == [None, 1, None, None, None, None]
    assert [one.reason for one in reply.skipped] == ["cut_off"] and reply.handle is None
