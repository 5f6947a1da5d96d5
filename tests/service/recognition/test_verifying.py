"""Verification decides with the shipped calibration, and every way to ask for it shows the decision."""

from __future__ import annotations

import json

import pytest
from serving import Clips, Run, Service

from gaitkeeper.gallery.errors import BadFmr, BadFpir
from gaitkeeper.gallery.types import Verdict


def test_18_the_default_network_verifies_and_shows_what_decided(service: Service, clip: Clips, command: Run) -> None:
    client = service.client
    for name in ("ann", "bob"):
        client.enroll(clip(f"{name}-1"), name)
    own, other = (client.verify(clip("ann-2"), name).person for name in ("ann", "bob"))
    assert (own.verdict, own.reason, other.verdict, other.reason) == (Verdict.MATCH, None, Verdict.UNKNOWN, None)
    limit = own.threshold
    assert limit.value is not None and own.distance is not None and own.distance <= limit.value < (other.distance or 0)
    assert (limit.source, limit.basis, limit.fmr) == ("calibration", "prior", 0.001), "one other subject is too few"
    assert own.confidence is not None and other.confidence is not None and own.confidence > other.confidence

    shown = command("verify", clip("ann-2"), "-s", "ann", "--server", service.url)
    told = f"ann: match, distance {own.distance:.3f} of at most {limit.value:.3f} (FMR 0.001, prior), confidence "
    assert told + f"{own.confidence:.2f}" in shown.out
    asked = ("--fmr", "0.01", "--track", "1", "--min-quality", "0.1", "--network", "fusion", "--camera", "door")
    loose = json.loads(command("verify", clip("ann-2"), "-s", "bob", *asked, "--server", service.url, "--json").out)
    assert loose["person"]["verdict"] == "unknown" and loose["person"]["threshold"]["fmr"] == 0.01
    assert loose["person"]["threshold"]["value"] > limit.value

    default = next(model for model in client.models().models if model.default)
    assert default.calibrated[0].fmrs == [0.001, 0.01]


def test_18_a_rate_that_is_not_calibrated_is_refused_before_the_clip_is_looked_at(
    service: Service, clip: Clips, command: Run
) -> None:
    """The clip shows no walker, so that looking at it gives another error."""
    client = service.client
    client.enroll(clip("ann-1"), "ann")
    with pytest.raises(BadFpir) as refused:
        client.identify(clip("empty"), fpir=0.02)
    assert refused.value.extra["calibrated"] == [0.001, 0.01]
    with pytest.raises(BadFmr) as refused_claim:
        client.verify(clip("empty"), "ann", fmr=0.02)
    assert refused_claim.value.extra["calibrated"] == [0.001, 0.01]
    with pytest.raises(BadFpir):
        client.stream(fpir=0.02)
    client.create_collection("new")
    with pytest.raises(BadFpir):
        client.identify(clip("empty"), fpir=0.02, collection="new")
    with pytest.raises(BadFpir):
        client.stream(fpir=0.02, collection="new")
    place = ("--store", f"sqlite:///{service.store}")
    for asked in (("watch", clip("empty")), ("batch", "identify", clip("empty").parent)):
        outcome = command(*asked, "--fpir", "0.02", *place)
        assert outcome.code == 2 and "bad_fpir" in outcome.err
