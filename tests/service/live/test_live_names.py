"""A name does not flicker, and is not kept by somebody else."""

from __future__ import annotations

import pytest

from gaitkeeper.gallery.types import Candidate, Identification, Reason, Threshold, Verdict
from gaitkeeper.pipelines.fingerprint import Fingerprint
from gaitkeeper.pipelines.walk_quality import Quality
from gaitkeeper.service.live.names import Name

QUALITY = Quality(45, {}, 0.9, 0.9, 0.0, 1.2, 30.0, False)


def verdict(text: str) -> Identification:
    """``a`` and ``b`` match these subjects, ``?`` is unknown, ``-`` inconclusive."""
    kind = {"?": Verdict.UNKNOWN, "-": Verdict.INCONCLUSIVE}.get(text, Verdict.MATCH)
    return Identification(
        verdict=kind,
        reason=Reason.POOR_QUALITY if kind is Verdict.INCONCLUSIVE else None,
        candidates=(Candidate(subject=text, rank=1, distance=1.0, confidence=0.8, template="t"),),
        threshold=Threshold(value=2.0, fpir=0.01, gallery_size=2, source="calibration", extrapolated=False),
        collection="default",
        fingerprint=Fingerprint("gei", "none", "1", "blazepose-full/1"),
        trained=True,
        track=1,
        start=0.0,
        end=1.5,
        quality=QUALITY,
        timings={},
    )


def shown_after(windows: str) -> str:
    """What is shown after each of the windows, in the same letters; ``.`` where nothing can be said."""
    name, out = Name(), ""
    for window in windows:
        if window == "!":
            name.withdraw()
        else:
            before = name.shown
            assert name.judged(verdict(window)) == (
                (name.shown.verdict, name.shown.subject, name.shown.reason)
                != (before.verdict, before.subject, before.reason)
            )
        shown = {Verdict.MATCH: name.shown.subject, Verdict.UNKNOWN: "?", Verdict.INCONCLUSIVE: "."}
        out += str(shown[name.shown.verdict])
    return out


@pytest.mark.parametrize(
    ("windows", "shown"),
    [
        ("aaa", ".aa"),  # a match is believed at its second window
        ("?", "?"),  # that nobody is known is believed at once
        ("?a?a?a", "??????"),  # a match now and then is none
        ("aa?aa", ".aaaa"),  # nor is a single window that says otherwise
        ("aab", ".aa"),
        ("aabb", ".aab"),
        ("aa??", ".aa?"),
        ("aa--a", ".aaaa"),  # windows that cannot tell change nothing
        ("aa----", ".aaaa."),  # until there are many
        ("a-a", "..."),
        ("aa!a", ".a.."),  # after a jump of the likeness all begins anew
        ("aa!aa", ".a..a"),
        ("aa!?", ".a.?"),
    ],
)
def test_what_is_shown(windows: str, shown: str) -> None:
    assert shown_after(windows) == shown


@pytest.mark.parametrize(
    ("windows", "whole", "shown"),
    [
        ("a", "a", ("match", "a", None)),  # a short passage with one window
        ("-", "a", ("match", "a", None)),
        ("a", "?", ("unknown", None, None)),
        ("aa", "b", ("match", "b", None)),
        ("aa", "-", ("match", "a", None)),
        ("a", "-", ("inconclusive", None, "poor_quality")),
    ],
)
def test_18_the_whole_track_is_decided_on_at_its_end(
    windows: str, whole: str, shown: tuple[str, str | None, str | None]
) -> None:
    name = Name()
    for window in windows:
        name.judged(verdict(window))
    before = name.shown
    assert name.concluded(verdict(whole)) == (
        (name.shown.verdict, name.shown.subject, name.shown.reason) != (before.verdict, before.subject, before.reason)
    )
    assert (name.shown.verdict, name.shown.subject, name.shown.reason) == shown


def test_it_says_why_it_says_nothing() -> None:
    name = Name()
    assert name.shown.reason == "too_short"
    assert name.judged(None, "standing") and name.shown.reason == "standing"
    assert name.judged(verdict("a")) and name.shown.reason == "unconfirmed"
    assert name.judged(verdict("a")) and (name.shown.reason, name.shown.confidence) == (None, 0.8)
    assert name.withdraw() and name.shown.reason == "likeness_changed"
    assert not name.withdraw()
