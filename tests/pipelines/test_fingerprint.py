from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gaitkeeper.models import build, load
from gaitkeeper.pipelines.fingerprint import PREPROCESSING, Fingerprint, fingerprint_of

field = st.from_regex(r"[A-Za-z0-9._/+@-]{1,100}", fullmatch=True)


@given(field, field, field, field)
def test_the_string_form_reads_back(network, weights, preprocessing, perception):
    fingerprint = Fingerprint(network, weights, preprocessing, perception)
    assert Fingerprint.parse(str(fingerprint)) == fingerprint
    assert str(fingerprint).count(":") == 3


@pytest.mark.parametrize(
    "text", ["", "gei", "gei:none:1", "gei:none:1:b:2", "gei::1:b", "gei:none:1:b c", "gei:none:1:b\n"]
)
def test_other_strings_are_refused(text):
    with pytest.raises(ValueError, match="fingerprint"):
        Fingerprint.parse(text)


def test_a_field_cannot_hold_the_separator():
    with pytest.raises(ValueError, match="perception"):
        Fingerprint("gei", "none", "1", "a:b")


def test_every_field_counts():
    one = Fingerprint("gei", "none", "1", "blazepose-full/1")
    others = [replace(one, **{name: "other"}) for name in ("network", "weights", "preprocessing", "perception")]
    assert len({str(f) for f in [one, *others]}) == 5


def test_a_network_without_weights_is_trained_and_stable():
    fingerprint = fingerprint_of(load("gei"), "blazepose-full/1")
    assert str(fingerprint) == f"gei:none:{PREPROCESSING}:blazepose-full/1"
    assert fingerprint.trained


def test_random_weights_are_told_apart():
    one, same, other = (build("gaitpart", seed=seed, embed_dim=8) for seed in (0, 0, 1))
    prints = [fingerprint_of(net, "blazepose-full/1") for net in (one, same, other)]
    assert prints[0] == prints[1] != prints[2]
    assert not any(p.trained for p in prints)
    with torch.no_grad():
        next(one.parameters()).add_(1)
    assert fingerprint_of(one, "blazepose-full/1") != prints[0]


def test_named_weights_go_by_their_name():
    net = build("gaitpart", seed=0, embed_dim=8)
    for weights_id, trained in (("untrained-seed0", False), ("0123456789abcdef", True)):
        net.weights_id = weights_id
        fingerprint = fingerprint_of(net, "blazepose-full/1")
        assert (fingerprint.weights, fingerprint.trained) == (weights_id, trained)
