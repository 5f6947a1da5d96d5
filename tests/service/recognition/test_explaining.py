"""What an identification shows beside its ranking: pictures, boxes, and why this name."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest
from rich.console import Console
from serving import Clips, Service

from gaitkeeper.gallery.errors import NotFound
from gaitkeeper.gallery.types import CandidateParts, Explanation, PartImpostors
from gaitkeeper.service.commands.console.tables import BLOCKS, explanation


def picture(text: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), cv2.IMREAD_COLOR)


def test_pictures_boxes_and_explanation_come_where_asked_for(service: Service, clip: Clips) -> None:
    client = service.client
    for subject, name in (("ann", "ann-1"), ("bob", "bob-1")):
        client.enroll(clip(name), subject)
    (plain,) = client.identify(clip("ann-2")).people
    assert (plain.pictures, plain.trail, plain.explanation) == (None, None, None)

    reply = client.identify(clip("ann-2"), pictures=True, boxes=True, explain=True)

    (person,) = reply.people
    assert person.candidates == plain.candidates
    assert person.pictures is not None and person.trail is not None and person.explanation is not None
    assert picture(person.pictures.silhouettes).shape == (64, 1280, 3)
    assert set(np.unique(picture(person.pictures.silhouettes))) == {0, 255}
    assert picture(person.pictures.skeletons).shape == (64, 1280, 3)
    assert picture(person.pictures.thumbnail).shape[0] > 50
    assert len(person.trail.times) == len(person.trail.boxes) == person.quality.frames
    assert person.trail.times == sorted(person.trail.times)
    assert all(x1 < x2 and y1 < y2 <= reply.clip.height + 1 for x1, y1, x2, y2 in person.trail.boxes)
    found = person.explanation
    assert [c.subject for c in found.candidates] == ["ann", "bob"]
    assert np.mean(found.candidates[0].distances) == pytest.approx(person.candidates[0].distance, rel=1e-5)
    assert len(found.parts) == 8 + 16
    for first, last in ((0, 7), (8, 23)):  # each member divides the body from head to feet
        assert (found.parts[first].top, found.parts[last].bottom) == (0.0, 1.0)
    templates = {c.template for c in person.candidates}
    assert person.pictures.templates.keys() == templates
    for candidate in person.candidates:
        kept = client.template_pictures(candidate.subject, candidate.template)
        assert person.pictures.templates[candidate.template] == kept
    assert picture(kept.silhouettes).shape == (64, 1280, 3)
    with pytest.raises(NotFound):
        client.template_pictures("ann", person.candidates[1].template)


def shown(found: Explanation) -> str:
    console = Console(width=120, record=True, file=None)
    with console.capture() as text:
        console.print(explanation(found))
    return text.get()


def test_the_terminal_shows_a_mark_for_every_part() -> None:
    strips = tuple(PartImpostors(top=i / 4, bottom=(i + 1) / 4, low=1.0, median=2.0, high=3.0) for i in range(4))
    one = CandidateParts(subject="[ann]", template="t", distances=(1, 2, 3, 4), impostor_shares=(0.0, 0.3, 0.6, 1.0))
    text = shown(Explanation(source="collection", pairs=45, parts=strips, candidates=(one,)))
    assert "head → feet" in text and "45 pairs" in text and "[ann]" in text
    assert f"{BLOCKS[0]}{BLOCKS[2]}{BLOCKS[4]}{BLOCKS[7]}" in text
    twice = shown(Explanation(source="collection", pairs=45, parts=(*strips, *strips), candidates=(one,)))
    assert "head → feet, 2 times" in twice and "times" not in text
    nowhere = tuple(part.model_copy(update={"top": None, "bottom": None}) for part in strips)
    bare = one.model_copy(update={"impostor_shares": None})
    some = Explanation(source="collection", pairs=45, parts=(*strips, *strips, *nowhere), candidates=(one,))
    assert "head → feet, 2 times, then 4 without a place" in shown(some)
    assert "parts 1 to 8" in shown(some.model_copy(update={"parts": (*nowhere, *strips)}))
    text = shown(Explanation(source=None, pairs=0, parts=nowhere, candidates=(bare,)))
    assert "parts 1 to 4" in text and "too few people" in text
